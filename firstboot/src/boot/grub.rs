//! GRUB's count of tries, where BIOS started this machine: a file on the EFI system partition.

use super::boot_info;
use crate::error::{Error, Result};
use crate::files;
use crate::roots::Roots;
use landfall_hosts::grubenv::{GrubEnv, Tries};
use landfall_hosts::paths::{grub, machine};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

fn file(roots: &Roots) -> PathBuf {
    roots.path(machine::ESP).join(grub::ENV)
}

/// True when GRUB has something else to start. Where that cannot be seen, it is taken to be so.
pub fn has_alternative(roots: &Roots) -> bool {
    let running = boot_info(roots).and_then(|info| info.generation);
    let Some(env) = files::read(&file(roots)).ok().and_then(|bytes| GrubEnv::parse(&bytes)) else {
        return true;
    };
    env.generations()
        .filter(|generation| Some(*generation) != running)
        .any(|generation| env.tries(generation).is_none_or(Tries::can_start))
}

/// Marks the running generation as good.
///
/// GRUB reads and writes the file's own blocks, so it is overwritten and not replaced. What changes lies in one
/// sector: a power cut leaves the old word or the new one.
pub fn bless(roots: &Roots) -> Result<()> {
    let path = file(roots);
    let generation = boot_info(roots).and_then(|info| info.generation).ok_or_else(|| {
        Error::Refused("marking the running generation as good: stage 1 did not say which it is".into())
    })?;
    let bad = |why: &str| Error::bad(path.display().to_string(), why);
    let mut env = GrubEnv::parse(&files::read(&path)?)
        .ok_or_else(|| bad("it is not an environment of GRUB; start the medium and install again"))?;
    if env.tries(generation) == Some(Tries::Good) {
        return Ok(());
    }
    env.set_tries(generation, Tries::Good);
    let bytes = env.render().ok_or_else(|| bad("another variable does not fit it"))?;
    let mut file = OpenOptions::new().write(true).open(&path).map_err(Error::at("opening", &path))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(Error::at("writing", &path))
}

#[cfg(test)]
mod tests {
    use super::super::count;
    use super::*;
    use std::fs;

    fn world(env: &[(u64, Tries)]) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        fs::create_dir_all(roots.path("/efi/grub")).unwrap();
        fs::create_dir_all(roots.run("landfall")).unwrap();
        let info = "format = 1\nmode = \"boot\"\ngeneration = 2\nboot_count_path = \"landfall-2+2-1.conf\"\n";
        fs::write(roots.path(machine::BOOT_INFO), info).unwrap();
        let mut block = GrubEnv::default();
        env.iter().for_each(|(generation, tries)| block.set_tries(*generation, *tries));
        fs::write(file(&roots), block.render().unwrap()).unwrap();
        (dir, roots)
    }

    fn tries(roots: &Roots, generation: u64) -> Option<Tries> {
        GrubEnv::parse(&fs::read(file(roots)).unwrap()).unwrap().tries(generation)
    }

    #[test]
    fn the_running_generation_becomes_good_and_others_stay() {
        let (_dir, roots) = world(&[(1, Tries::Left(0)), (2, Tries::Left(2))]);
        let count = count::read(&roots, count::TRIES).unwrap();
        assert_eq!((count.left, count.done, count.exhausted), (2, 1, false));
        bless(&roots).unwrap();
        bless(&roots).unwrap();
        assert_eq!((tries(&roots, 1), tries(&roots, 2)), (Some(Tries::Left(0)), Some(Tries::Good)));
        assert_eq!(fs::read(file(&roots)).unwrap().len(), landfall_hosts::grubenv::SIZE);
    }

    #[test]
    fn only_another_that_has_not_failed_is_an_alternative() {
        for (others, alternative) in [
            (vec![], false),
            (vec![(1, Tries::Left(0))], false),
            (vec![(1, Tries::Past)], false),
            (vec![(1, Tries::Left(0)), (3, Tries::Left(3))], true),
            (vec![(1, Tries::Good)], true),
        ] {
            let all: Vec<_> = others.iter().copied().chain([(2, Tries::Left(2))]).collect();
            let (_dir, roots) = world(&all);
            assert_eq!(count::has_alternative(&roots, count::TRIES), alternative, "{others:?}");
        }
    }

    #[test]
    fn a_damaged_environment_is_said_and_not_overwritten() {
        let (_dir, roots) = world(&[]);
        fs::write(file(&roots), "rubbish").unwrap();
        assert!(has_alternative(&roots));
        let error = bless(&roots).unwrap_err().to_string();
        assert!(error.contains("grubenv"), "{error}");
        assert_eq!(fs::read(file(&roots)).unwrap(), b"rubbish");
    }
}
