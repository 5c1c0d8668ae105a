//! What this computer says of the person who sits at it. Each of these is a guess that an option
//! or an answer overrides; a file that is not there is no error.

use std::path::{Path, PathBuf};

/// Files that guesses are read from.
#[derive(Debug, Clone)]
pub struct Places {
    /// Root of the system's configuration.
    pub etc: PathBuf,
    /// The person's home.
    pub home: Option<PathBuf>,
    /// The person's configuration folder.
    pub config: Option<PathBuf>,
}

impl Places {
    /// The places of the user who runs this program.
    pub fn of_user() -> Self {
        let folder = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = folder("HOME");
        let config = folder("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        Self { etc: PathBuf::from("/etc"), home, config }
    }

    /// Where an admin's age identity is.
    pub fn identity(&self) -> Option<PathBuf> {
        self.config.as_ref().map(|config| config.join("landfall/identity.txt"))
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.etc.join(name)).ok()
    }

    /// Name of the time zone in tzdata.
    pub fn timezone(&self) -> Option<String> {
        let link = std::fs::read_link(self.etc.join("localtime")).ok();
        let linked = link
            .as_deref()
            .and_then(Path::to_str)
            .and_then(|target| target.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned()));
        let zone = linked.or_else(|| self.read("timezone").map(|text| text.trim().to_owned()))?;
        // `posix/` and `right/` are copies of the same zones.
        let zone = zone.strip_prefix("posix/").unwrap_or(&zone);
        Some(zone.strip_prefix("right/").unwrap_or(zone).to_owned()).filter(|zone| !zone.is_empty())
    }

    /// XKB layout, with its variant in parentheses. keyboard(5)
    pub fn keyboard(&self) -> Option<String> {
        let text = self.read("default/keyboard")?;
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
            let first = line.trim_matches('"').split(',').next()?.trim().to_owned();
            (!first.is_empty()).then_some(first)
        };
        let layout = value("XKBLAYOUT")?;
        Some(match value("XKBVARIANT") {
            Some(variant) => format!("{layout}({variant})"),
            None => layout,
        })
    }

    /// Full name of a user, from passwd(5).
    pub fn full_name(&self, user: &str) -> Option<String> {
        let text = self.read("passwd")?;
        let gecos = text.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(user)).then(|| fields.nth(3).map(str::to_owned))?
        })?;
        gecos.split(',').next().map(str::to_owned).filter(|name| !name.is_empty())
    }

    /// The person's public SSH key, the best kind first.
    pub fn ssh_key(&self) -> Option<String> {
        let folder = self.home.as_ref()?.join(".ssh");
        let names = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];
        names.iter().find_map(|name| {
            let text = std::fs::read_to_string(folder.join(name)).ok()?;
            Some(first_line(&text)).filter(|line| !line.is_empty())
        })
    }

    /// The email that git knows.
    pub fn email(&self) -> Option<String> {
        let home = self.home.as_ref()?.join(".gitconfig");
        let config = self.config.as_ref().map(|config| config.join("git/config"));
        [Some(home), config].into_iter().flatten().find_map(|path| {
            let text = std::fs::read_to_string(path).ok()?;
            let line = text.lines().find(|line| line.trim_start().starts_with("email"))?;
            let (_, value) = line.split_once('=')?;
            Some(value.trim().trim_matches('"').to_owned()).filter(|email| email.contains('@'))
        })
    }
}

/// `LANG`, where it is a full UTF-8 locale.
pub fn lang() -> Option<String> {
    let names = ["LC_ALL", "LANG"];
    let set = names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    let lang = set.replace(".utf8", ".UTF-8");
    landfall_hosts::site::shape::check(landfall_hosts::site::shape::Shape::Lang, &lang).ok().map(|()| lang)
}

/// The first line of a file that is no comment.
pub fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_come_from_files_and_are_none_without() {
        let dir = tempfile::tempdir().unwrap();
        let places =
            Places { etc: dir.path().join("etc"), home: Some(dir.path().join("home")), config: None };
        assert_eq!((places.timezone(), places.keyboard(), places.ssh_key()), (None, None, None));
        std::fs::create_dir_all(dir.path().join("etc/default")).unwrap();
        std::fs::create_dir_all(dir.path().join("home/.ssh")).unwrap();
        std::os::unix::fs::symlink("/usr/share/zoneinfo/Europe/London", places.etc.join("localtime"))
            .unwrap();
        std::fs::write(
            places.etc.join("default/keyboard"),
            "XKBLAYOUT=\"de,us\"\nXKBVARIANT=\"nodeadkeys,\"\n",
        )
        .unwrap();
        std::fs::write(
            places.etc.join("passwd"),
            "root:x:0:0::/root:/bin/sh\nsam:x:1:1:Sam Example,,,:/h:/b\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("home/.ssh/id_rsa.pub"), "ssh-rsa AAAA x\n").unwrap();
        std::fs::write(dir.path().join("home/.gitconfig"), "[user]\n\temail = s@e.org\n").unwrap();
        assert_eq!(places.timezone().as_deref(), Some("Europe/London"));
        assert_eq!(places.keyboard().as_deref(), Some("de(nodeadkeys)"));
        assert_eq!(places.full_name("sam").as_deref(), Some("Sam Example"));
        assert_eq!(places.full_name("root"), None);
        assert_eq!(places.ssh_key().as_deref(), Some("ssh-rsa AAAA x"));
        assert_eq!(places.email().as_deref(), Some("s@e.org"));
    }
}
