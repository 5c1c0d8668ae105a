//! Sealing the encrypted disk's key to the TPM for boot entries that have not started yet, and taking
//! away the key slots of entries that are gone.
//!
//! Whoever writes a boot entry calls [`Job::run`] for it before the restart; else the next start asks
//! for the passphrase or recovery key once.

pub mod ask;
mod genuine;

use crate::error::{Error, Result};
use crate::files;
use crate::roots::Roots;
use crate::secrets::store::{Set, Store};
use crate::tools::{Call, Commands, Tool};
use landfall_hosts::machine::BootInfo;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::{cmdline, data, machine};
use landfall_measure::{Entry, Foreseen, Header, Pcrs, Tpm, TpmSlot, credential, enrol_arguments};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// A slow TPM takes seconds for each slot that it tries, and a passphrase's hash takes two.
const LIMIT: Duration = Duration::from_secs(180);
/// As at an installation: the TPM slows guessing down.
pub const LEAST_OF_PIN: usize = 4;

/// What a person, or who speaks for one, is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// A passphrase or the recovery key of the disk.
    Key,
    /// The PIN that opened the disk.
    Pin,
    /// A PIN for a host that had none.
    NewPin,
}

/// Answers a question; never an empty answer.
pub type Ask<'a> = dyn Fn(Question) -> Result<Zeroizing<String>> + 'a;

/// The work, and what it stands on.
pub struct Job<'a> {
    /// The machine.
    pub roots: &'a Roots,
    /// Its programs.
    pub commands: &'a dyn Commands,
    /// Where a PIN stands while a program reads it.
    pub store: &'a dyn Store,
    /// Who answers.
    pub ask: &'a Ask<'a>,
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// New key slots.
    pub added: usize,
    /// Key slots that were taken away.
    pub dropped: usize,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// The disk and the TPM, as they are now.
struct Disk {
    device: String,
    header: Header,
    tpm: Tpm,
    now: Pcrs,
}

/// A boot entry of this machine.
struct Listed {
    name: String,
    entry: Entry,
}

/// A key slot that is to be made.
struct Wanted {
    pcrs: Pcrs,
    pin: bool,
}

impl Job<'_> {
    /// Seals for one entry, by its file's name with or without tries, or for all of them; then takes away
    /// the slots that no entry of the ESP opens any more.
    pub fn run(&self, name: Option<&str>) -> Result<Done> {
        let disk = self.disk()?;
        let entries = self.entries()?;
        let chosen: Vec<&Listed> =
            entries.iter().filter(|listed| name.is_none_or(|name| is_called(&listed.name, name))).collect();
        if let (Some(name), true) = (name, chosen.is_empty()) {
            let names: Vec<&str> = entries.iter().map(|listed| listed.name.as_str()).collect();
            return Err(Error::Refused(format!(
                "sealing for {name}: there is no such boot entry; there are: {}",
                names.join(", ")
            )));
        }
        let mut done = Done::default();
        let mut wanted = Vec::new();
        for listed in chosen {
            wanted.extend(self.wanted(&disk, listed, &mut done)?);
        }
        done.added = self.add(&disk, &wanted)?;
        done.dropped = self.drop_spent(&disk, &entries, &mut done.notes)?;
        Ok(done)
    }

    fn disk(&self) -> Result<Disk> {
        let text = files::read_text(&self.roots.path(machine::BOOT_INFO))?.unwrap_or_default();
        let info: BootInfo =
            toml::from_str(&text).map_err(|error| Error::bad(machine::BOOT_INFO, error.message()))?;
        let (true, Some(partuuid)) = (info.encrypted, &info.data) else {
            return Err(Error::Refused(
                "sealing the disk's key: this machine's disk is not encrypted".into(),
            ));
        };
        let tpm = Tpm::find(&self.roots.sys("")).ok_or_else(|| {
            Error::Refused(
                "sealing the disk's key: this machine shows no TPM 2 that can be used; turn it on in the \
                 firmware, and start by UEFI"
                    .into(),
            )
        })?;
        let device = self.roots.dev(&format!("disk/by-partuuid/{partuuid}")).to_string_lossy().into_owned();
        let dump = Call::new(Tool::Cryptsetup, &["luksDump", "--dump-json-metadata", &device]);
        let json = self.commands.check(&dump, "reading the disk's key slots")?;
        let header = Header::parse(&String::from_utf8_lossy(&json))
            .map_err(|error| Error::bad(&device, error.to_string()))?;
        let now = tpm.now().map_err(Error::Refused)?;
        Ok(Disk { device, header, tpm, now })
    }

    fn entries(&self) -> Result<Vec<Listed>> {
        let folder = self.esp().join("loader/entries");
        let listed = std::fs::read_dir(&folder).map_err(Error::at("listing", &folder))?;
        let mut names: Vec<String> =
            listed.flatten().filter_map(|file| file.file_name().into_string().ok()).collect();
        names.sort();
        names.retain(|name| name.ends_with(".conf"));
        let read = |name: String| {
            let text = files::read_text(&folder.join(&name))?.unwrap_or_default();
            let entry = Entry::parse(&text).map_err(|error| Error::bad(&name, error.to_string()))?;
            Ok(Listed { name, entry })
        };
        names.into_iter().map(read).collect()
    }

    fn esp(&self) -> PathBuf {
        self.roots.path(machine::ESP)
    }

    /// The slots that an entry lacks.
    fn wanted(&self, disk: &Disk, listed: &Listed, done: &mut Done) -> Result<Vec<Wanted>> {
        let Listed { name, entry } = listed;
        if !entry.is_bound_to(disk.header.identity) {
            return Err(Error::Refused(format!(
                "sealing for {name}: it does not say {}=1 and {}={}, so that it would start another disk, too; \
                 write it anew with both words",
                cmdline::ENCRYPTED,
                cmdline::VOLUME,
                disk.header.identity
            )));
        }
        let manifest = self.manifest(listed)?;
        genuine::check(entry, &manifest, &self.esp()).map_err(|why| {
            Error::Refused(format!(
                "sealing for {name}: {why}; if you did not write it yourself, somebody had the disk in hand: \
                 remove the entry, and install the machine again where its programs were exchanged"
            ))
        })?;
        // With a PIN, without, or both.
        let ways = manifest.install.encrypt.iter().flat_map(|spec| &spec.unlock);
        let ways: Vec<bool> = ways.filter_map(|way| way.tpm_pin()).collect();
        if ways.contains(&false) && !self.secure_boot() {
            return Err(Error::Refused(format!(
                "sealing for {name}: its generation unlocks by the TPM alone, and Secure Boot is off; turn it \
                 on in the firmware"
            )));
        }
        let Foreseen { starts, doubt } = self.foresee(disk, listed)?;
        if let Some(why) = doubt {
            done.notes.push(format!(
                "what this firmware measures cannot be told for sure: {why}; {name} may ask for the passphrase \
                 or recovery key once"
            ));
        }
        let all = starts.iter().flat_map(|pcrs| ways.iter().map(|pin| Wanted { pcrs: *pcrs, pin: *pin }));
        Ok(all.filter(|wanted| !disk.header.has(&wanted.pcrs, wanted.pin)).collect())
    }

    fn foresee(&self, disk: &Disk, listed: &Listed) -> Result<Foreseen> {
        let foreseen = disk.tpm.foresee(&self.esp(), &listed.entry);
        foreseen.map_err(|why| Error::bad(format!("the boot entry {}", listed.name), why))
    }

    /// What the encrypted disk says of the entry's generation.
    fn manifest(&self, listed: &Listed) -> Result<Manifest> {
        let words = listed.entry.options.split_whitespace();
        let mut numbers = words.filter_map(|word| {
            word.strip_prefix(cmdline::GENERATION)?.strip_prefix('=')?.parse::<u64>().ok()
        });
        let bad = |why: String| Error::bad(format!("the boot entry {}", listed.name), why);
        let number = numbers.next().ok_or_else(|| bad("it names no generation".into()))?;
        let path = self.roots.data(&format!("{}/{number}.toml", data::GENERATIONS));
        let text = files::read_text(&path)?
            .ok_or_else(|| bad(format!("its generation {number} is not on this machine")))?;
        toml::from_str(&text).map_err(|error| Error::bad(path.display().to_string(), error.message()))
    }

    /// UEFI specification 2.10, 3.3: the variable SecureBoot, four bytes of attributes in front.
    fn secure_boot(&self) -> bool {
        let path = self.roots.efivars().join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
        std::fs::read(path).is_ok_and(|bytes| bytes.get(4) == Some(&1))
    }

    fn add(&self, disk: &Disk, wanted: &[Wanted]) -> Result<usize> {
        if wanted.is_empty() {
            return Ok(0);
        }
        let opener = Opener::of(disk.header.opens_at(&disk.now), self.ask)?;
        let pin = match (&opener, wanted.iter().any(|wanted| wanted.pin)) {
            (Opener::Pin(pin), true) => Some(pin.clone()),
            (_, true) => Some((self.ask)(Question::NewPin)?),
            (_, false) => None,
        };
        for slot in wanted {
            let pin = pin.as_ref().filter(|_| slot.pin);
            self.enrol(disk, slot, &opener, pin)?;
        }
        Ok(wanted.len())
    }

    fn enrol(
        &self,
        disk: &Disk,
        slot: &Wanted,
        opener: &Opener,
        pin: Option<&Zeroizing<String>>,
    ) -> Result<()> {
        let mut arguments = vec![opener.argument().to_owned()];
        arguments.extend(enrol_arguments(&disk.device, &slot.pcrs, slot.pin));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut call = Call::new(Tool::SystemdCryptenroll, &arguments).limit(LIMIT);
        let set = self.store.begin()?;
        let own = match opener {
            Opener::Pin(pin) => Some((credential::PIN, pin)),
            _ => None,
        };
        for (name, secret) in own.into_iter().chain(pin.map(|pin| (credential::NEW_PIN, pin))) {
            files::replace(&set.folder().join(name), secret.as_bytes(), files::Access::ROOT_ONLY)?;
        }
        call = call.credentials(for_child(&*set));
        if let Opener::Key(key) = opener {
            call = call.stdin(key.as_bytes());
        }
        self.commands.check(&call, "sealing the disk's key to the TPM").map(drop)
    }

    /// Only where all entries can be told: a slot that is in use must not go.
    fn drop_spent(&self, disk: &Disk, entries: &[Listed], notes: &mut Vec<String>) -> Result<usize> {
        let mut known = vec![disk.now];
        for listed in entries.iter().filter(|listed| listed.entry.is_bound_to(disk.header.identity)) {
            match self.foresee(disk, listed) {
                Ok(Foreseen { starts, doubt: None }) => known.extend(starts),
                _ => {
                    notes.push(format!(
                        "no key slot was taken away, because what {} measures cannot be told",
                        listed.name
                    ));
                    return Ok(0);
                }
            }
        }
        let spent = disk.header.spent(&known);
        for keyslot in &spent {
            let slot = format!("--wipe-slot={keyslot}");
            let call = Call::new(Tool::SystemdCryptenroll, &[&slot, &disk.device]).limit(LIMIT);
            self.commands.check(&call, "taking away a key slot")?;
        }
        Ok(spent.len())
    }
}

/// What opens the disk for a new slot.
enum Opener {
    Tpm,
    Pin(Zeroizing<String>),
    Key(Zeroizing<String>),
}

impl Opener {
    fn of(slot: Option<&TpmSlot>, ask: &Ask<'_>) -> Result<Self> {
        Ok(match slot {
            Some(slot) if slot.pin => Self::Pin(ask(Question::Pin)?),
            Some(_) => Self::Tpm,
            None => Self::Key(ask(Question::Key)?),
        })
    }

    fn argument(&self) -> &'static str {
        match self {
            Self::Tpm | Self::Pin(_) => "--unlock-tpm2-device=auto",
            Self::Key(_) => "--unlock-key-file=/dev/stdin",
        }
    }
}

/// A set that has no place is reached through this process, and `self` is another one in a child.
fn for_child(set: &dyn Set) -> PathBuf {
    let folder = set.folder();
    match folder.strip_prefix("/proc/self") {
        Ok(rest) => Path::new("/proc").join(std::process::id().to_string()).join(rest),
        Err(_) => folder,
    }
}

/// `landfall-2+3.conf` is also called `landfall-2.conf` and `landfall-2`, whatever tries it has left.
fn is_called(file: &str, name: &str) -> bool {
    fn stem(text: &str) -> &str {
        let text = text.strip_suffix(".conf").unwrap_or(text);
        text.split_once('+').map_or(text, |(stem, _)| stem)
    }
    stem(file) == stem(name)
}

#[cfg(test)]
mod tests;
