//! Replacing a system under its state, in the order that makes a power cut harmless:
//!
//! 1. The marker says "keeping": a later run resumes, and nobody takes the disk for a blank one.
//! 2. New layers come beside the old ones, and are read back. The old system still starts.
//! 3. Seed and manifest name the new generation, and the TPM gets a key slot for its start. The old
//!    system still starts, by the slots that it has.
//! 4. The boot code of BIOS goes and the ESP is written anew: the switch. While it is, nothing starts
//!    but the medium.
//! 5. What the old system alone needed goes, its key slots first. The new system starts.
//! 6. GRUB is put on the disk again, and the marker says "done".

use super::look::{self, Earlier};
use crate::console::Consoles;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::install::attempt::Timed;
use crate::install::effects::{Decided, StepError, Written, layers, step};
use crate::install::encrypt::Kept;
use crate::install::medium::Medium;
use crate::install::progress::Bar;
use crate::install::verify::{self, Wanted};
use crate::install::{esp, state, target, tpm};
use crate::luks::{Opened, Volume};
use crate::mounts::{Kind, Mount};
use crate::{stage1, tree};
use landfall_disk::InstallId;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::medium::Seed;
use landfall_hosts::paths::data;
use rustix::mount::MountFlags;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Writes everything but GRUB, the report and the last marker.
pub fn replace(
    (context, earlier): (&Context, &Earlier),
    medium: &Medium,
    decided: &Decided<'_>,
    timed: &mut Timed,
) -> std::result::Result<Written, StepError> {
    let manifest = &decided.chosen.manifest;
    context.consoles.say(format!("Replacing the system on {}; its state stays.", decided.plan.disk.line()));
    let target =
        timed.run("take-over", 0, || target::adopt(context, decided.plan, earlier.guids, decided.id));
    let mut target = step("taking over the disk", target)?;
    let opened = timed.run("check", 0, || open(context, &target, decided.kept.as_ref()));
    let (opened, mount, folder) = step("checking the state", opened)?;
    target.volume = step("checking the state", tpm::identity(&target, manifest))?;
    step("checking the state", state::folders(&folder))?;
    let missing = timed.run("compare", 0, || missing(&context.consoles, manifest, &folder));
    let from = verify::layers(manifest, &medium.folder);
    let needed = |file: &Wanted| missing.contains(&file.sha256);
    let from = from.into_iter().filter(needed).collect();
    let to = verify::layers(manifest, &folder).into_iter().filter(needed).collect();
    layers(context, (from, to), &folder, timed)?;
    let number = step("handing over", timed.run("seed", 0, || leave(&folder, decided)))?;
    let volume = opened.as_ref().map(|_| Volume::on(&target.data.path));
    let sealed = timed.run("seal", 0, || {
        let before = volume.as_ref().map(tpm::sealed_before).transpose()?;
        tpm::seal(context, &target, decided, number).map(|()| before.unwrap_or_default())
    });
    let sealed_before = step("sealing the key to the TPM", sealed)?;
    let from = &decided.medium_esp;
    let written = timed.run("esp", 0, || {
        target.hide_from_bios()?;
        esp::write(context, &target, manifest, from, number)
    });
    step("writing the EFI system partition", written)?;
    let cleared = timed.run("clear", 0, || {
        volume.map_or(Ok(()), |volume| tpm::take_away(&volume, &sealed_before))?;
        clear(&folder, &verify::layers(manifest, &folder), number).and_then(|()| stage1::set_aside(&folder))
    });
    step("removing the old system", cleared)?;
    Ok(Written { target, mount, opened, folder, grub: None })
}

/// Opens the volume, where there is one, repairs what a power cut left of the file system, and mounts
/// it.
fn open(
    context: &Context,
    target: &target::Target,
    kept: Option<&Kept>,
) -> Result<(Option<Opened>, Mount, PathBuf)> {
    let partition = &target.data.path;
    let opened = kept.map(|kept| Volume::on(partition).open(&kept.key)).transpose()?;
    let opened = opened.map(|opened| opened.ok_or_else(|| shut(partition))).transpose()?;
    let device = opened.as_ref().map_or_else(|| partition.clone(), Opened::path);
    stage1::check_data(context, &device)?;
    let folder = context.roots.run.join("landfall/target");
    let kind = Kind { name: "ext4", flags: MountFlags::NOATIME, options: "" };
    Ok((opened, Mount::new(&device, &folder, kind)?, folder))
}

fn shut(partition: &Path) -> Error {
    Error::Words(format!(
        "the key that opened {} before does not open it now; try again",
        partition.display()
    ))
}

/// Hashes of the layers that are not there whole: what a power cut left has a name and not yet its
/// bytes.
fn missing(consoles: &Consoles, manifest: &Manifest, folder: &Path) -> Vec<String> {
    let there: Vec<Wanted> =
        verify::layers(manifest, folder).into_iter().filter(|file| file.path.exists()).collect();
    let bar = Bar::begin(consoles, "Checking the layers that are there", verify::bytes(&there));
    let whole: Vec<String> =
        there.into_iter().filter(|file| verify::is_whole(file, &bar)).map(|file| file.sha256).collect();
    let all = manifest.layers.iter().map(|layer| layer.sha256.clone());
    all.filter(|sha256| !whole.contains(sha256)).collect()
}

/// Leaves seed and manifest; gives the new generation's number.
///
/// The machine-id is read anew: before its file system was checked it could have been an older one.
fn leave(folder: &Path, decided: &Decided<'_>) -> Result<u64> {
    let machine_id = look::read(folder)?.seed.machine_id;
    let generation = number(folder, decided.id, &decided.chosen.bytes)?;
    let seed = Seed { machine_id, generation, ..decided.seed.clone() };
    state::write(folder, decided.chosen, &seed, decided.identity.as_ref())?;
    Ok(generation)
}

/// The next number, or the one that this very installation had given before it was broken off. A
/// number stands for one manifest for ever.
fn number(folder: &Path, id: InstallId, manifest: &[u8]) -> Result<u64> {
    let seed = look::seed(folder)?;
    let generations = folder.join(data::GENERATIONS);
    let begun = std::fs::read(generations.join(format!("{}.toml", seed.generation)));
    if seed.install_id == id.to_string() && begun.is_ok_and(|begun| begun == manifest) {
        return Ok(seed.generation);
    }
    let numbers = tree::entries(&generations)?.into_iter().filter_map(|name| number_of(&name));
    let newest = numbers.max().unwrap_or(0).max(seed.generation);
    newest
        .checked_add(1)
        .ok_or_else(|| Error::Words("the machine has no number left for a generation".into()))
}

/// `7.toml` and `7.toml.minisig` are of generation 7.
fn number_of(name: &OsStr) -> Option<u64> {
    name.to_str()?.split('.').next()?.parse().ok()
}

/// Removes the manifests of other generations, and layers that this one does not want.
fn clear(folder: &Path, wanted: &[Wanted], number: u64) -> Result<()> {
    let generations = folder.join(data::GENERATIONS);
    for name in tree::entries(&generations)? {
        if number_of(&name) != Some(number) {
            tree::remove(&generations.join(name))?;
        }
    }
    let layers = folder.join(data::LAYERS);
    for name in tree::entries(&layers)? {
        let path = layers.join(name);
        if !wanted.iter().any(|file| file.path == path) {
            tree::remove(&path)?;
        }
    }
    tree::sync_folder(&generations)?;
    tree::sync_folder(&layers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::copy;
    use crate::install::hosts::Chosen;
    use crate::install::plan::tests::manifest as manifest_of;
    use crate::roots::Roots;
    use landfall_hosts::host::Existing;
    use landfall_hosts::manifest::{LayerKind, LayerRef};
    use landfall_hosts::paths::state as names;

    const ID: InstallId = InstallId([7; 8]);

    fn machine(generation: u64, id: InstallId) -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        state::folders(top.path()).unwrap();
        let seed = Seed { format: 1, generation, install_id: id.to_string(), ..Seed::default() };
        let text = toml::to_string(&seed).unwrap();
        std::fs::write(top.path().join(data::STATE).join(names::SEED), text).unwrap();
        std::fs::write(top.path().join(data::STATE).join(names::FORMAT), "1\n").unwrap();
        generation_of(top.path(), generation, "old");
        top
    }

    fn generation_of(folder: &Path, number: u64, manifest: &str) {
        std::fs::write(folder.join(data::GENERATIONS).join(format!("{number}.toml")), manifest).unwrap();
    }

    #[test]
    fn numbers_grow_and_a_broken_off_one_is_taken_up_again() {
        let other = InstallId([1; 8]);
        let top = machine(1, other);
        assert_eq!(number(top.path(), ID, b"old").unwrap(), 2);
        generation_of(top.path(), 6, "deployed");
        assert_eq!(number(top.path(), ID, b"new").unwrap(), 7);
        let top = machine(4, ID);
        assert_eq!(number(top.path(), ID, b"old").unwrap(), 4);
        assert_eq!(number(top.path(), ID, b"another build").unwrap(), 5);
        assert_eq!(number(top.path(), other, b"old").unwrap(), 5);
        let top = machine(u64::MAX, other);
        assert!(number(top.path(), ID, b"new").is_err());
    }

    /// The steps of [`super::write`] on the data partition, without the ESP's.
    struct Run<'a> {
        medium: &'a Path,
        folder: &'a Path,
        chosen: Chosen,
        consoles: Consoles,
    }

    const OLD: &str = "the old layer";
    const NEW: &str = "the new layer";

    fn layer(text: &str) -> String {
        format!("{}/{}.erofs", data::LAYERS, hex(text))
    }

    fn hex(text: &str) -> String {
        use sha2::{Digest, Sha256};
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    impl<'a> Run<'a> {
        fn new(medium: &'a Path, folder: &'a Path) -> Self {
            let mut manifest = manifest_of("transport = 'virtio'", Existing::KeepState);
            let size = NEW.len() as u64;
            manifest.layers = vec![LayerRef { kind: LayerKind::Base, sha256: hex(NEW), size }];
            let chosen = Chosen { manifest, bytes: b"new".to_vec(), signature: None };
            let consoles = Consoles::open(&Roots::under(&medium.join("nothing")));
            Self { medium, folder, chosen, consoles }
        }

        /// The first `steps`; half a layer counts as one.
        fn go(&self, steps: usize) {
            let manifest = &self.chosen.manifest;
            let missing = missing(&self.consoles, manifest, self.folder);
            let from = verify::layers(manifest, self.medium);
            let from: Vec<Wanted> = from.into_iter().filter(|file| missing.contains(&file.sha256)).collect();
            if steps > 0 && !from.is_empty() {
                std::fs::write(self.folder.join(layer(NEW)), &NEW[..5]).unwrap();
            }
            if steps > 1 {
                let bar = Bar::begin(&self.consoles, "Copying", 0);
                copy::all(&from, &self.folder.join(data::LAYERS), &bar).unwrap();
            }
            let generation = number(self.folder, ID, &self.chosen.bytes).unwrap();
            if steps > 2 {
                let machine_id = look::read(self.folder).unwrap().seed.machine_id;
                let install_id = ID.to_string();
                let seed = Seed { format: 1, machine_id, generation, install_id, ..Seed::default() };
                state::write(self.folder, &self.chosen, &seed, None).unwrap();
            }
            if steps > 3 {
                clear(self.folder, &verify::layers(manifest, self.folder), generation).unwrap();
            }
        }

        fn judge(&self, switched: bool) {
            kept(self.folder, false);
            let has = |path: &str, text: &str| {
                std::fs::read_to_string(self.folder.join(path)).is_ok_and(|found| found == text)
            };
            let whole = match switched {
                false => has("landfall/generations/1.toml", "old") && has(&layer(OLD), OLD),
                true => has("landfall/generations/2.toml", "new") && has(&layer(NEW), NEW),
            };
            assert!(whole, "the system that starts is not whole");
        }
    }

    #[test]
    fn after_every_step_the_state_is_whole_and_so_is_the_system_that_starts() {
        let medium = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(medium.path().join(data::LAYERS)).unwrap();
        std::fs::write(medium.path().join(layer(NEW)), NEW).unwrap();
        // A run that was cut off, another that was, and a whole one. The ESP is switched before the last step.
        for (first, second) in (0..=4).flat_map(|first| (0..=4).map(move |second| (first, second))) {
            let top = machine(1, InstallId([1; 8]));
            kept(top.path(), true);
            std::fs::write(top.path().join(layer(OLD)), OLD).unwrap();
            let run = Run::new(medium.path(), top.path());
            run.judge(false);
            let mut switched = false;
            for steps in [first, second, 4] {
                run.go(steps);
                switched |= steps > 3;
                run.judge(switched);
            }
            assert_eq!(tree::entries(&top.path().join(data::GENERATIONS)).unwrap(), ["2.toml"]);
            assert_eq!(tree::entries(&top.path().join(data::LAYERS)).unwrap().len(), 1);
        }
    }

    /// Makes, or looks for, one file of each kind that stays.
    fn kept(folder: &Path, make: bool) {
        let id = "ab".repeat(16);
        let in_state = |name: &str| format!("{}/{name}", data::STATE);
        for (path, text) in [
            ("home/sam/letter".to_owned(), "dear"),
            ("var/lib/db".to_owned(), "rows"),
            ("keep/root/notes".to_owned(), "mine"),
            (in_state("etc/machine-id"), &format!("{id}\n")),
            (in_state("etc/ssh/ssh_host_ed25519_key"), "host key"),
            (in_state(names::IDENTITY_SEALED), "sealed"),
            (in_state(names::STEPS), "{}"),
        ] {
            let path = folder.join(path);
            if make {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, text).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{}", path.display());
        }
    }

    #[test]
    fn only_what_the_old_system_needed_goes() {
        let top = machine(1, ID);
        let folder = top.path();
        generation_of(folder, 2, "new");
        std::fs::write(folder.join(data::GENERATIONS).join("2.toml.minisig"), "x").unwrap();
        std::fs::write(folder.join(data::GENERATIONS).join("1.toml.minisig"), "x").unwrap();
        for sha256 in ["aa", "bb"] {
            std::fs::write(folder.join(data::LAYERS).join(format!("{sha256}.erofs")), sha256).unwrap();
        }
        std::fs::write(folder.join(data::HOME).join("letter"), "kept").unwrap();
        let path = folder.join(data::LAYERS).join("bb.erofs");
        let wanted = [Wanted { path, sha256: "bb".into(), size: 2 }];
        for _ in 0..2 {
            clear(folder, &wanted, 2).unwrap();
        }
        assert_eq!(tree::entries(&folder.join(data::LAYERS)).unwrap(), ["bb.erofs"]);
        assert_eq!(tree::entries(&folder.join(data::GENERATIONS)).unwrap(), ["2.toml", "2.toml.minisig"]);
        assert_eq!(std::fs::read(folder.join(data::HOME).join("letter")).unwrap(), b"kept");
    }
}
