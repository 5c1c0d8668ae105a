//! Users' homes: made if they are missing, and what the site declares in them applied, recorded,
//! and taken away again when it is declared no more.

pub mod apply;
pub mod child;
pub mod dconf;
pub mod ini;
pub mod order;
pub mod values;

use crate::accounts::{Accounts, Person};
use crate::console::say;
use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::machine;
use crate::roots::Roots;
use crate::steps::outcome::Outcome;
use crate::tools::{AsUser, Call, Commands, Tool};
use landfall_hosts::machine::{Machine, MachineHome};
use order::{Answer, FileOrder, Ini, LIMIT_BYTES, Order, Record};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A home on a slow disk has many small files.
const CHILD_LIMIT: Duration = Duration::from_secs(120);

/// One attempt: every user's home. One that fails does not hold up the others.
pub fn attempt(roots: &Roots, machine: &Machine, commands: &dyn Commands) -> Result<Outcome> {
    let accounts = Accounts::load(roots)?;
    let users: BTreeSet<&String> = machine.users.keys().chain(machine.homes.keys()).collect();
    let mut problems = Vec::new();
    for user in &users {
        let nothing = MachineHome::default();
        let declared = machine.homes.get(*user).unwrap_or(&nothing);
        let job = HomeJob { roots, commands, user, declared };
        match job.run(&accounts) {
            Ok(more) => problems.extend(more.iter().map(|problem| format!("{user}: {problem}"))),
            Err(error) => problems.push(format!("{user}: {error}")),
        }
    }
    if problems.is_empty() {
        return Ok(Outcome::Done(format!("{} in order", users.len())));
    }
    Err(Error::Refused(problems.join("; ")))
}

struct HomeJob<'a> {
    roots: &'a Roots,
    commands: &'a dyn Commands,
    user: &'a str,
    declared: &'a MachineHome,
}

impl HomeJob<'_> {
    /// Returns what went wrong inside the home.
    fn run(&self, accounts: &Accounts) -> Result<Vec<String>> {
        let person = accounts.person(self.user).ok_or_else(|| {
            Error::Refused("there is no such user on this machine; declare it in the site".into())
        })?;
        let home = self.roots.path(&person.home);
        make_home(&home, person)?;
        let old = self.load_record();
        let (order, contents) = self.order(person, &home, old.clone())?;
        let bytes = order::encode(&order, &contents)?;
        let user = AsUser { uid: person.uid, gid: person.gid, home: person.home.clone() };
        let call =
            Call::new(Tool::Ourselves, &["apply-home"]).stdin(&bytes).user(user.clone()).limit(CHILD_LIMIT);
        let said = self.commands.check(&call, "applying the home")?;
        // The child is the user's: what it says is only ever used as the user again.
        let mut answer: Answer = serde_json::from_slice(&said)
            .map_err(|error| Error::bad("what the home's child said", error.to_string()))?;
        for note in &answer.notes {
            say(&format!("{}: {note}", self.user));
        }
        answer.record.dconf = old.dconf;
        let applied = dconf::apply(self.commands, &user, self.declared, &mut answer.record);
        if let Err(error) = applied {
            answer.problems.push(error.to_string());
        }
        self.save_record(&answer.record)?;
        Ok(answer.problems)
    }

    fn order(&self, person: &Person, home: &Path, record: Record) -> Result<(Order, Vec<Bytes>)> {
        let source = self.roots.home_files(self.user);
        let mut orders = Vec::new();
        let mut contents = Vec::new();
        let mut total = 0;
        for (path, mode) in &self.declared.files {
            let content = files::read(&source.join(path))?;
            total += content.len() as u64;
            orders.push(FileOrder {
                path: path.clone(),
                mode: machine::mode(mode, 0o644)?,
                size: content.len() as u64,
            });
            contents.push(content);
        }
        if total > LIMIT_BYTES / 2 {
            return Err(Error::Refused(format!(
                "the home's files have {total} bytes; put what is so large into a package"
            )));
        }
        // Root's own and the system's users have no skeleton.
        let skeleton = (person.uid >= 1000).then(|| self.roots.etc("skel"));
        let order = Order {
            home: home.to_string_lossy().into_owned(),
            date: date(SystemTime::now()),
            skeleton: skeleton.map(|path| path.to_string_lossy().into_owned()),
            files: orders,
            links: self.declared.links.clone(),
            ini: self.ini()?,
            record,
        };
        Ok((order, contents))
    }

    fn ini(&self) -> Result<Ini> {
        let mut all = Ini::new();
        for (path, groups) in &self.declared.ini {
            for (group, keys) in groups {
                for (key, value) in keys {
                    let value = values::ini(value)?;
                    let groups = all.entry(path.clone()).or_default();
                    let keys = groups.entry(group.clone()).or_default();
                    keys.insert(key.clone(), value);
                }
            }
        }
        Ok(all)
    }

    fn record_path(&self) -> std::path::PathBuf {
        self.roots.home_records().join(format!("{}.json", self.user))
    }

    /// A damaged record is as none: then what is there counts as the user's, and is kept.
    fn load_record(&self) -> Record {
        let text = files::read_text(&self.record_path()).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    fn save_record(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec_pretty(record)
            .map_err(|error| Error::Refused(format!("recording a home: {error}")))?;
        files::make_folder(&self.roots.home_records(), 0o700)?;
        let access = Access {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mode: 0o600,
        };
        files::replace(&self.record_path(), &text, access)
    }
}

type Bytes = zeroize::Zeroizing<Vec<u8>>;

/// Makes the home if it is missing. One that is a link or another's is refused: root must not
/// give away what it does not know.
fn make_home(home: &Path, person: &Person) -> Result<()> {
    match fs::symlink_metadata(home) {
        Ok(about) if !about.is_dir() => {
            Err(Error::Refused(format!("{} is not a folder; move it away", home.display())))
        }
        Ok(about) if about.uid() != person.uid => Err(Error::Refused(format!(
            "{} belongs to uid {}, not to {} (uid {}); `chown` it or give the user another uid",
            home.display(),
            about.uid(),
            person.name,
            person.uid
        ))),
        Ok(_) => Ok(()),
        Err(_) => {
            let parent = home.parent().unwrap_or(Path::new("/"));
            files::make_folder(parent, 0o755)?;
            // Under another name until it is the user's: cut off in between, it is begun anew.
            let begun = parent.join(format!(".landfall-home-{}", person.name));
            let _ = fs::remove_dir(&begun);
            let made = fs::DirBuilder::new().mode(0o700).create(&begun);
            made.map_err(Error::at("making", &begun))?;
            files::give(&begun, person.uid, person.gid)?;
            fs::rename(&begun, home).map_err(Error::at("making", home))?;
            files::sync_folder(parent)
        }
    }
}

/// `YYYY-MM-DD`, by <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Finished;
    use crate::tools::fake::FakeCommands;
    use zeroize::Zeroizing;

    /// Does in the test's process what the child does in its own.
    fn in_process() -> FakeCommands {
        let mut commands = FakeCommands::default();
        commands.answers.push(Box::new(|call| {
            (call.tool == Tool::Ourselves).then(|| {
                let (order, contents) = order::decode(call.stdin.unwrap_or_default()).unwrap();
                let answer = apply::Applier::new(order).run(&contents);
                Finished {
                    code: Some(0),
                    stdout: Zeroizing::new(serde_json::to_vec(&answer).unwrap()),
                    stderr: String::new(),
                }
            })
        }));
        commands
    }

    fn world() -> (tempfile::TempDir, Roots, Machine) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        for folder in [roots.etc("skel"), roots.state(""), roots.home_files("sam")] {
            fs::create_dir_all(folder).unwrap();
        }
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let passwd = format!("sam:x:{uid}:{gid}:Sam:/home/sam:/bin/bash\n");
        fs::write(roots.etc("passwd"), passwd).unwrap();
        fs::write(roots.home_files("sam").join("f"), "declared").unwrap();
        let text = "format = 1\n[users.sam]\nuid = 1000\n[homes.sam.files]\nf = \"0600\"\n[homes.sam.ini.\".gitconfig\".user]\nname = \"Sam\"\n";
        (dir, roots, machine::parse(text).unwrap())
    }

    #[test]
    fn a_home_is_made_filled_and_recorded() {
        let (_dir, roots, machine) = world();
        for _ in 0..2 {
            let outcome = attempt(&roots, &machine, &in_process()).unwrap();
            assert_eq!(outcome, Outcome::Done("1 in order".into()));
        }
        let home = roots.path("/home/sam");
        assert_eq!(fs::metadata(&home).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_to_string(home.join("f")).unwrap(), "declared");
        assert_eq!(fs::metadata(home.join("f")).unwrap().mode() & 0o7777, 0o600);
        let git = fs::read_to_string(home.join(".gitconfig")).unwrap();
        assert_eq!(git, "[user]\nname=Sam\n");
        assert!(roots.home_records().join("sam.json").exists());
    }

    #[test]
    fn a_home_that_is_a_link_or_anothers_is_refused() {
        let (dir, roots, mut machine) = world();
        fs::create_dir_all(roots.path("/home")).unwrap();
        std::os::unix::fs::symlink(dir.path(), roots.path("/home/sam")).unwrap();
        let error = attempt(&roots, &machine, &in_process()).unwrap_err().to_string();
        assert!(error.contains("is not a folder"), "{error}");
        machine.homes.insert("ghost".into(), MachineHome::default());
        let error = attempt(&roots, &machine, &in_process()).unwrap_err().to_string();
        assert!(error.contains("ghost: there is no such user"), "{error}");
    }

    #[test]
    fn what_a_hostile_child_says_is_refused() {
        let (_dir, roots, machine) = world();
        let commands = FakeCommands::default().answer("landfall-machine", 0, "{\"record\":7}");
        assert!(attempt(&roots, &machine, &commands).is_err());
    }

    #[test]
    fn dates_are_of_the_calendar() {
        let at = |seconds| date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01");
        assert_eq!(at(951_782_400), "2000-02-29");
        assert_eq!(at(1_795_392_000), "2026-11-23");
    }
}
