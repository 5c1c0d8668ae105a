//! The drives of this computer, with what a person has to know before choosing one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;

use landfall_disk::{survey, types};
use landfall_probe::{Disk, Roots, disks};

use super::uses::{Use, uses};

/// A whole disk, what is on it, and what it is used for.
#[derive(Clone, Debug, Default)]
pub struct Drive {
    /// The hardware.
    pub disk: Disk,
    /// What is on it, in words.
    pub content: String,
    /// What this computer uses it for.
    pub uses: BTreeSet<Use>,
}

impl Drive {
    /// One line for people.
    pub fn line(&self) -> String {
        let uses: Vec<&str> = self.uses.iter().map(|used| used.what.as_str()).collect();
        let uses = if uses.is_empty() { String::new() } else { format!("; {}", uses.join(", ")) };
        format!("{}: {}{uses}", self.disk.line(), self.content)
    }
}

/// All drives, by name.
pub fn drives(roots: &Roots) -> Vec<Drive> {
    let disks = disks::list(roots);
    let mut used = uses(roots, &disks);
    disks
        .into_iter()
        .map(|disk| Drive {
            content: content(&disk),
            uses: used.remove(&disk.name).unwrap_or_default(),
            disk,
        })
        .collect()
}

fn content(disk: &Disk) -> String {
    let seen = File::open(&disk.path).map(|mut file| survey(&mut file, disk.sector_bytes));
    match seen {
        Ok(Ok(seen)) if seen.partitions.first().is_some_and(|part| part.name == types::FLASHING_NAME) => {
            "a Landfall medium that was written half".to_owned()
        }
        Ok(Ok(seen)) => seen.to_string(),
        Ok(Err(error)) => format!("unreadable ({})", crate::cli::failure::chain(&error)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            "what is on it, only root can see".to_owned()
        }
        Err(error) => format!("unreadable ({error})"),
    }
}
