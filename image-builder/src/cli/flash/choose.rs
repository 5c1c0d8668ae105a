//! Which drive: named or asked for, and never one that must not be written.

use std::io::IsTerminal;
use std::path::Path;

use dialoguer::{Input, Select};
use landfall_probe::Roots;

use crate::cli::failure::Failure;
use crate::flash::{Drive, drives, objections};

/// What the person said of the drive.
pub(super) struct Choice<'a> {
    /// A device.
    pub(super) to: Option<&'a Path>,
    /// Its serial number.
    pub(super) serial: Option<&'a str>,
    /// Nothing is asked.
    pub(super) yes: bool,
    /// What it must hold; 0 before that is known.
    pub(super) need_bytes: u64,
}

/// The drive that is meant and may be written, once the person has confirmed it.
pub(super) fn choose(choice: &Choice<'_>, roots: &Roots) -> Result<Drive, Failure> {
    let drives = drives(roots);
    let asks = !choice.yes && std::io::stdin().is_terminal();
    let drive = match choice.to {
        Some(path) => named(path, drives)?,
        None if asks => pick(drives, choice.need_bytes)?,
        None => {
            return Err(Failure::Invalid(format!(
                "nobody is there to be asked; name the drive with --to DEVICE and say --yes\n{}",
                list(&drives, choice.need_bytes)
            )));
        }
    };
    let mut serial = choice.serial.map(str::to_owned);
    if judge(&drive, choice.need_bytes, serial.as_deref()).map_err(Failure::Refused)? == Verdict::TypeSerial {
        serial = asks.then(|| type_serial(&drive)).transpose()?;
    }
    match judge(&drive, choice.need_bytes, serial.as_deref()).map_err(Failure::Refused)? {
        Verdict::TypeSerial => Err(Failure::Refused(refusal(
            &drive,
            "type its serial number with --serial, if this very drive is meant",
        ))),
        Verdict::Good if choice.yes => Ok(drive),
        Verdict::Good if !asks => Err(Failure::Invalid(
            "nobody is there to confirm that the drive may be written over; say --yes".into(),
        )),
        Verdict::Good => confirmed(drive),
    }
}

/// Refuses a drive whose objections no serial number can overrule.
pub(super) fn refuse(drive: &Drive, need_bytes: u64) -> Result<(), Failure> {
    judge(drive, need_bytes, None).map(drop).map_err(Failure::Refused)
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    TypeSerial,
}

/// Whether the drive may be written; the words of a refusal if not.
fn judge(drive: &Drive, need_bytes: u64, serial: Option<&str>) -> Result<Verdict, String> {
    let objections = objections(drive, need_bytes);
    let why = |list: &[&str]| list.join("; ");
    let never: Vec<&str> =
        objections.iter().filter(|found| !found.serial_overrides).map(|found| found.why.as_str()).collect();
    if !never.is_empty() {
        return Err(refusal(drive, &why(&never)));
    }
    match (serial, &drive.disk.serial) {
        (Some(typed), Some(own)) if typed == own => Ok(Verdict::Good),
        (Some(typed), own) => {
            let own = own.as_deref().unwrap_or("not known");
            Err(refusal(drive, &format!("its serial number is {own}, and {typed} was said")))
        }
        (None, _) if objections.is_empty() => Ok(Verdict::Good),
        (None, Some(_)) => Ok(Verdict::TypeSerial),
        (None, None) => {
            let found: Vec<&str> = objections.iter().map(|found| found.why.as_str()).collect();
            let found = why(&found);
            Err(refusal(
                drive,
                &format!("{found}, and has no serial number by which it could be named for sure"),
            ))
        }
    }
}

fn refusal(drive: &Drive, why: &str) -> String {
    format!("not writing to {}: {why}", drive.disk.line())
}

fn named(path: &Path, drives: Vec<Drive>) -> Result<Drive, Failure> {
    let real = std::fs::canonicalize(path).map_err(|error| {
        Failure::Refused(format!("{}: {error}; is it plugged in?\n{}", path.display(), list(&drives, 0)))
    })?;
    let part = |drive: &&Drive| drive.disk.partitions.iter().any(|part| part.path == real);
    if let Some(drive) = drives.iter().find(part) {
        return Err(Failure::Refused(format!(
            "{} is a partition; a medium takes the whole drive, {}",
            path.display(),
            drive.disk.line()
        )));
    }
    let all = list(&drives, 0);
    drives.into_iter().find(|drive| drive.disk.path == real).ok_or_else(|| {
        Failure::Refused(format!("{} is none of this computer's drives\n{all}", path.display()))
    })
}

fn list(drives: &[Drive], need_bytes: u64) -> String {
    let lines = drives.iter().map(|drive| {
        let found = objections(drive, need_bytes);
        let why: Vec<&str> = found.iter().map(|found| found.why.as_str()).collect();
        match why.is_empty() {
            true => format!("  {}", drive.line()),
            false => format!("  {} (not offered: {})", drive.line(), why.join("; ")),
        }
    });
    let lines: Vec<String> = lines.collect();
    match lines.is_empty() {
        true => "This computer has no drives.".to_owned(),
        false => format!("The drives are:\n{}", lines.join("\n")),
    }
}

fn pick(drives: Vec<Drive>, need_bytes: u64) -> Result<Drive, Failure> {
    let all = list(&drives, need_bytes);
    let mut offered: Vec<Drive> =
        drives.into_iter().filter(|drive| objections(drive, need_bytes).is_empty()).collect();
    if offered.is_empty() {
        return Err(Failure::Refused(format!("there is no stick to write to: plug one in.\n{all}")));
    }
    let lines: Vec<String> = offered.iter().map(Drive::line).collect();
    let number = Select::new().with_prompt("Which drive").items(&lines).default(0).interact()?;
    Ok(offered.swap_remove(number.min(offered.len() - 1)))
}

fn type_serial(drive: &Drive) -> Result<String, Failure> {
    eprintln!("{}", drive.line());
    let why: Vec<String> = objections(drive, 0).into_iter().map(|found| found.why).collect();
    let prompt = format!("Careful: {}. Its serial number, if it is meant", why.join("; "));
    Ok(Input::<String>::new().with_prompt(prompt).allow_empty(true).interact_text()?)
}

fn confirmed(drive: Drive) -> Result<Drive, Failure> {
    eprintln!("Everything on this drive will be lost:\n  {}", drive.line());
    let typed: String =
        Input::new().with_prompt("Type yes to write over it").allow_empty(true).interact_text()?;
    match typed.trim() == "yes" {
        true => Ok(drive),
        false => Err(Failure::Refused("not confirmed; nothing was written".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_probe::{Disk, Partition};

    fn drive(removable: bool, serial: Option<&str>) -> Drive {
        let disk = Disk {
            name: "sdb".into(),
            path: "/dev/null".into(),
            size_bytes: 32 << 30,
            sector_bytes: 512,
            removable,
            serial: serial.map(str::to_owned),
            ..Disk::default()
        };
        Drive { disk, ..Drive::default() }
    }

    #[test]
    fn a_typed_serial_opens_what_is_not_removable_and_nothing_else() {
        let stick = drive(true, Some("A"));
        assert_eq!(judge(&stick, 0, None), Ok(Verdict::Good));
        assert_eq!(judge(&stick, 0, Some("A")), Ok(Verdict::Good));
        assert!(judge(&stick, 0, Some("B")).unwrap_err().contains("serial number is A"));
        let disk = drive(false, Some("A"));
        assert_eq!(judge(&disk, 0, None), Ok(Verdict::TypeSerial));
        assert_eq!(judge(&disk, 0, Some("A")), Ok(Verdict::Good));
        assert!(judge(&disk, 0, Some("")).is_err());
        assert!(judge(&drive(false, None), 0, None).unwrap_err().contains("no serial number"));
        assert!(judge(&drive(true, None), 0, Some("A")).is_err());
        let mut mounted = drive(false, Some("A"));
        mounted.uses.insert(crate::flash::Use { what: "mounted at /x".into(), system: false });
        assert!(judge(&mounted, 0, Some("A")).unwrap_err().contains("unmount"));
        assert!(judge(&stick, 64 << 30, Some("A")).unwrap_err().contains("larger drive"));
    }

    #[test]
    fn partitions_and_strangers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, part) = (folder.path().join("sdb"), folder.path().join("sdb1"));
        for path in [&whole, &part] {
            std::fs::write(path, "").unwrap();
        }
        let drives = || {
            let mut drive = drive(true, None);
            drive.disk.path = whole.canonicalize().unwrap();
            drive.disk.partitions =
                vec![Partition { path: part.canonicalize().unwrap(), ..Partition::default() }];
            vec![drive]
        };
        let words = |path: &Path| match named(path, drives()) {
            Err(Failure::Refused(words)) => words,
            other => panic!("{other:?}"),
        };
        assert!(named(&whole, drives()).is_ok());
        assert!(words(&part).contains("is a partition"));
        assert!(words(folder.path()).contains("none of this computer's drives"));
        assert!(words(Path::new("/nowhere")).contains("plugged in"));
    }

    #[test]
    fn with_nobody_there_the_drive_is_named_and_confirmed_by_words() {
        let folder = tempfile::tempdir().unwrap();
        let choice = Choice { to: None, serial: None, yes: true, need_bytes: 0 };
        let error = choose(&choice, &Roots::under(folder.path())).unwrap_err();
        assert_eq!(error.status(), 2);
    }
}
