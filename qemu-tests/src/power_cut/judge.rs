//! What a power cut leaves, judged by the installer's own code and by everybody's checkers.

use crate::error::{Doing, Error, Result};
use crate::image;
use crate::process::{attempt, run};
use crate::tools;
use crate::write_log::{Cut, WriteLog};
use landfall_disk::{TableSeen, read_table};
use landfall_hosts::host::Existing;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::medium::Unattended;
use landfall_hosts::paths::{data, state};
use landfall_installer::install::{Ask, Content, Seen, look, mend, plan, unattended};
use landfall_probe::{Disk, Machine};
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Backup table of a GPT: it is written first, and a disk whose own table counts does not need it.
const BACKUP_BYTES: u64 = 1 << 20;

/// The protective MBR: it says the same of every disk that has a GPT, and comes with the table's first write.
const PROTECTIVE_BYTES: u64 = 512;

/// What a cut left on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// All that was there before.
    Old,
    /// A disk that the stick installs again, whatever its host says about existing data.
    Half,
    /// A finished machine whose table the cut tore; the stick mends it.
    Torn,
    /// A finished machine.
    Whole,
}

/// Knows what a target must be.
pub struct Judge {
    manifest: Manifest,
    /// The medium's installation.
    id: String,
    before: Content,
    bytes: u64,
}

impl Judge {
    /// For `host` of a medium, and a target as it is before the first write.
    pub fn new(medium: &Path, host: &str, target: &Path) -> Result<Self> {
        let text = image::data_file(medium, &format!("{}/{host}.toml", data::GENERATIONS))?;
        let mut manifest: Manifest = parsed("the manifest", &text)?;
        manifest.install.existing = Existing::Refuse;
        let mark: Unattended = parsed("the mark", &image::data_file(medium, data::UNATTENDED)?)?;
        let (before, bytes) = seen(target)?;
        Ok(Self { manifest, id: mark.install_id, before: before.content, bytes })
    }

    /// What a cut left, of which the log knows all that was written.
    pub fn target(&self, log: &WriteLog, cut: &Cut, image: &Path) -> Result<Left> {
        let left = self.content(image)?;
        let start = self.bytes - BACKUP_BYTES;
        let old = PROTECTIVE_BYTES..start;
        let written = log.arrived(cut).any(|entry| {
            entry.length != 0 && entry.offset < old.end && entry.offset + entry.length > old.start
        });
        match (left, written) {
            (Left::Old, true) => {
                Err(Error::Unexpected("it passes for the old disk, and was written to".into()))
            }
            _ => Ok(left),
        }
    }

    /// What a later run of the stick would take the target for.
    pub fn content(&self, image: &Path) -> Result<Left> {
        let (seen, _) = seen(image)?;
        let wrong = |why: &str| Err(Error::Unexpected(format!("{why}: {:?}", seen.content)));
        match &seen.content {
            Content::HalfInstalled { id } if *id == self.id => {
                let (seen, machine) = (std::slice::from_ref(&seen), &Machine::default());
                match plan(&Ask { manifest: &self.manifest, seen, machine, picked: None }) {
                    Ok(_) => Ok(Left::Half),
                    Err(refusal) => wrong(&format!("the stick refuses it ({refusal:?})")),
                }
            }
            Content::Machine { id, .. } if *id == self.id => {
                let torn = table_is_torn(&seen.disk)?;
                // As the stick does when it meets its machine.
                mend(&seen.disk).map_err(|error| Error::Unexpected(error.chain()))?;
                self.whole(image).map(|()| if torn { Left::Torn } else { Left::Whole })
            }
            content if *content == self.before => Ok(Left::Old),
            _ => wrong("it is neither the old disk, nor half done, nor a machine"),
        }
    }

    /// Every checker, and every file that the manifest names.
    fn whole(&self, image: &Path) -> Result<()> {
        image::check(image)?;
        let differs = |name: &str| Err(Error::Unexpected(format!("{name} is not what the manifest says")));
        for layer in &self.manifest.layers {
            let name = format!("{}/{}.erofs", data::LAYERS, layer.sha256);
            if image::hex(&sha256(&image::data_file(image, &name)?)) != layer.sha256 {
                return differs(&name);
            }
        }
        let files = image::esp_files(image)?;
        let blobs = std::iter::once(&self.manifest.kernel).chain(&self.manifest.initrds);
        let blobs = blobs.map(|blob| (blob.esp_path(), &blob.sha256));
        let programs = self.manifest.efi.iter().map(|program| (program.path.clone(), &program.sha256));
        for (path, hash) in blobs.chain(programs) {
            let found = files.iter().find(|(name, _)| name.eq_ignore_ascii_case(&path));
            if found.is_none_or(|(_, bytes)| image::hex(&sha256(bytes)) != *hash) {
                return differs(&path);
            }
        }
        for name in [state::SEED, state::INSTALL_REPORT] {
            if image::data_file(image, &format!("{}/{name}", data::STATE))?.is_empty() {
                return differs(name);
            }
        }
        Ok(())
    }
}

/// What a cut left on a stick whose target is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spent {
    /// It would install by itself, if it did not find the machine finished.
    Pending,
    /// It never installs by itself again.
    Done,
}

/// What the stick's own data says after a cut: its journal is replayed and its orphans are freed, as the kernel does
/// it; its filesystem must be whole then, and so must be its mark.
pub fn stick(image: &Path, scratch: &Path) -> Result<Spent> {
    image::slice(image, &image::partition(image, 3)?, scratch)?;
    let preened = attempt(Command::new(tools::program("e2fsck")?).arg("-p").arg(scratch))?;
    // e2fsck(8): 1 is what the journal and the list of orphans leave to do.
    if !matches!(preened.status.code(), Some(0 | 1)) {
        return Err(Error::Unexpected(format!("the stick's data is broken: {preened:?}")));
    }
    run(Command::new(tools::program("e2fsck")?).arg("-fn").arg(scratch))?;
    let out = scratch.with_extension("mark");
    let request = format!("dump /{} {}", data::UNATTENDED, out.display());
    run(Command::new(tools::program("debugfs")?).args(["-R", &request]).arg(scratch))?;
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    match unattended::parse(&text) {
        Ok(Some(mark)) if unattended::is_done(&mark) => Ok(Spent::Done),
        Ok(Some(_)) => Ok(Spent::Pending),
        other => Err(Error::Unexpected(format!("the stick's mark is {other:?}: {text:?}"))),
    }
}

fn seen(image: &Path) -> Result<(Seen, u64)> {
    let length = std::fs::metadata(image).map(|meta| meta.len());
    let size_bytes =
        length.map_err(|source| Error::Io { doing: format!("measuring {}", image.display()), source })?;
    let disk = Disk {
        name: "vda".into(),
        path: image.to_path_buf(),
        size_bytes,
        sector_bytes: 512,
        transport: "virtio".into(),
        serial: Some(crate::rehearsal::TARGET_SERIAL.into()),
        ..Disk::default()
    };
    let content = look(&disk);
    Ok((Seen { disk, content, is_medium: false, mounted: false }, size_bytes))
}

fn table_is_torn(disk: &Disk) -> Result<bool> {
    let mut file = File::open(&disk.path).doing("opening", &disk.path)?;
    match read_table(&mut file, disk.sector_bytes) {
        Ok(TableSeen::Gpt(gpt)) => Ok(gpt.from_backup),
        other => Err(Error::Unexpected(format!("a machine with another table: {other:?}"))),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    toml::from_str(String::from_utf8_lossy(bytes).trim())
        .map_err(|error| Error::Unexpected(format!("reading {what}: {error}")))
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}
