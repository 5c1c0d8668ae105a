//! Users and groups: `passwd(5)`, `group(5)` and `shadow(5)`, read and edited as text. A static
//! binary has no name service, and needs none: everyone who matters is in these files.

pub mod crypt;
pub mod shadow;

use crate::error::{Error, Result};
use crate::files;
use crate::roots::Roots;

/// A line of `passwd(5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Login name.
    pub name: String,
    /// Uid.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
}

/// The users and groups of the machine.
#[derive(Debug, Default)]
pub struct Accounts {
    people: Vec<Person>,
    groups: Vec<(String, u32)>,
}

impl Accounts {
    /// Reads both files.
    pub fn load(roots: &Roots) -> Result<Self> {
        let passwd = files::read_text(&roots.etc("passwd"))?.unwrap_or_default();
        let group = files::read_text(&roots.etc("group"))?.unwrap_or_default();
        Ok(Self::parse(&passwd, &group))
    }

    /// Lines that are not whole are passed over, as the C library does.
    pub fn parse(passwd: &str, group: &str) -> Self {
        Self {
            people: passwd.lines().filter_map(person).collect(),
            groups: group.lines().filter_map(group_line).collect(),
        }
    }

    /// A user by name.
    pub fn person(&self, name: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.name == name)
    }

    /// Uid and gid of an owner and a group by name or number; empty is root.
    pub fn owner(&self, owner: &str, group: &str) -> Result<(u32, u32)> {
        let uid = match owner {
            "" | "root" => 0,
            name => match self.person(name) {
                Some(person) => person.uid,
                None => number(name, "user")?,
            },
        };
        let gid = match group {
            "" | "root" => 0,
            name => match self.groups.iter().find(|(known, _)| known == name) {
                Some((_, gid)) => *gid,
                None => number(name, "group")?,
            },
        };
        Ok((uid, gid))
    }
}

fn number(name: &str, what: &str) -> Result<u32> {
    name.parse().map_err(|_| {
        Error::Refused(format!(
            "the {what} {name} does not exist on this machine; name another owner, or install the package that makes it"
        ))
    })
}

fn person(line: &str) -> Option<Person> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, _] = fields.as_slice() else {
        return None;
    };
    (!name.is_empty() && home.starts_with('/')).then_some(())?;
    Some(Person {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: (*home).to_owned(),
    })
}

fn group_line(line: &str) -> Option<(String, u32)> {
    let mut fields = line.split(':');
    let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
    Some((name.to_owned(), gid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/bash\nsam:x:1000:1000:Sam:/home/sam:/bin/bash\nbroken:x:-4:0::/:\nshort:x:1\nsly:x:5:5::relative:/bin/sh\n";

    #[test]
    fn reads_whole_lines_alone() {
        let accounts = Accounts::parse(PASSWD, "root:x:0:\nssl:x:104:sam\nno:x:nan:\n");
        assert_eq!(accounts.person("sam").unwrap().home, "/home/sam");
        assert!(accounts.person("broken").is_none());
        assert!(accounts.person("short").is_none());
        assert!(accounts.person("sly").is_none());
        assert_eq!(accounts.owner("sam", "ssl").unwrap(), (1000, 104));
        assert_eq!(accounts.owner("", "").unwrap(), (0, 0));
        assert_eq!(accounts.owner("33", "34").unwrap(), (33, 34));
        assert!(accounts.owner("nobody-here", "").is_err());
        assert!(accounts.owner("", "no").is_err());
    }
}
