//! `landfall run`: the program itself, with this test at its terminal.

use landfall_qemu_tests::error::Doing;
use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::site::HOST;
use landfall_qemu_tests::{Error, Result, image};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// For the build, the install and the boot, on a busy computer without KVM.
const LIMIT: Duration = Duration::from_secs(3600);
/// QEMU's key for the end of its machine.
const QUIT: &[u8] = b"\x01x";

/// A terminal at which `landfall run` was typed.
struct Terminal {
    child: Child,
    said: PathBuf,
}

impl Terminal {
    fn open(fixture: &Fixture, folder: &Path) -> Result<Self> {
        let said = folder.join("said.log");
        let out = File::create(&said).doing("creating", &said)?;
        let errors = out.try_clone().doing("sharing", &said)?;
        let keep = folder.join("kept").display().to_string();
        let mut command = fixture.site.landfall(&["run", HOST, "--unattended", "--locked", "--keep", &keep]);
        command.stdin(Stdio::piped()).stdout(out).stderr(errors);
        let child = command.spawn().doing("starting", Path::new("landfall run"))?;
        Ok(Self { child, said })
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.said).unwrap_or_default()).into_owned()
    }

    fn wait_for(&mut self, words: &str) -> Result<()> {
        let start = Instant::now();
        while !self.said().contains(words) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::Unexpected(format!("{status} before {words:?}:\n{}", self.said())));
            }
            if start.elapsed() > LIMIT {
                return Err(Error::Unexpected(format!("no {words:?} in:\n{}", self.said())));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn quit(&mut self) -> Result<ExitStatus> {
        if let Some(mut stdin) = self.child.stdin.take() {
            stdin.write_all(QUIT).doing("typing in", &self.said)?;
        }
        self.child.wait().doing("waiting for", &self.said)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.quit();
    }
}

mod long {
    use super::*;

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test"]
    fn a_host_is_rehearsed_from_its_medium_to_its_first_boot() {
        let fixture = Fixture::shared().unwrap();
        let folder = tempfile::tempdir_in(&fixture.folder).unwrap();
        let mut terminal = Terminal::open(&fixture, folder.path()).unwrap();
        terminal.wait_for("LANDFALL INSTALL done").unwrap();
        terminal.wait_for("Installed. The machine starts from its own disk now.").unwrap();
        terminal.wait_for("LANDFALL HEALTH state=good").unwrap();
        let status = terminal.quit().unwrap();
        assert!(status.success(), "{status}");
        let disk = folder.path().join("kept/disk.img");
        assert!(image::partition(&disk, 1).unwrap().name.starts_with("landfall-done-"));
    }
}
