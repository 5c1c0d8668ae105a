//! A guest: a machine in QEMU with consoles and control sockets that tests use.

mod agent;
mod config;
mod qmp;
mod serial;

pub use agent::Answer;
pub use config::{Forward, GuestConfig};
pub use landfall_qemu::{Bus, Drive, Firmware};

use crate::error::{Doing, Error, Result};
use crate::process::Daemon;
use crate::tools;
use landfall_qemu::Tpm;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running guest; dropped, it is gone.
pub struct Guest {
    qemu: Daemon,
    _tpm: Option<Daemon>,
    qmp: qmp::Qmp,
    serial: serial::Serial,
    agent: agent::Agent,
    log: PathBuf,
    started: Instant,
    _folder: TempDir,
}

impl Guest {
    /// Starts QEMU and waits until it answers on QMP.
    pub fn start(config: &GuestConfig) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("landfall-guest-")
            .tempdir()
            .doing("creating a folder in", &std::env::temp_dir())?;
        let log = log_file(&config.name)?;
        let sockets = config::Sockets::new(folder.path());
        let tpm = config.tpm(&sockets).map(|tpm| start_tpm(&tpm, folder.path())).transpose()?;
        let arguments = config.arguments(&sockets, &log, folder.path())?;
        let qemu = tools::program("qemu-system-x86_64")?;
        let said = folder.path().join("qemu.log");
        let started = Instant::now();
        let mut qemu = Daemon::start(&qemu, &arguments, &said)?;
        let qmp = qmp::Qmp::connect(&sockets.qmp, &mut qemu).map_err(|error| {
            // QEMU listens before it has read all its options; what it said of them is the better error.
            std::thread::sleep(Duration::from_millis(300));
            qemu.ended().unwrap_or(error)
        })?;
        let serial = serial::Serial::new(&log, &sockets.serial);
        let agent = agent::Agent::new(&sockets.agent);
        Ok(Self { qemu, _tpm: tpm, qmp, serial, agent, log, started, _folder: folder })
    }

    /// Since power-on.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Everything that the serial line has said.
    pub fn console(&self) -> String {
        serial::read(&self.log)
    }

    /// Where the serial line is logged.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether QEMU has ended: the guest is off, or started anew where that ends it.
    pub fn is_off(&mut self) -> bool {
        self.qemu.ended().is_some()
    }

    /// QEMU's process.
    pub fn pid(&self) -> u32 {
        self.qemu.pid()
    }

    /// Runs a command of QEMU's machine protocol, as `device_del`.
    pub fn monitor(&mut self, command: &str, arguments: serde_json::Value) -> Result<serde_json::Value> {
        self.qmp.execute(command, arguments)
    }

    /// Waits for a line that has one of `wanted` in it, after those that earlier calls have seen.
    pub fn wait_for(&mut self, wanted: &[&str], limit: Duration) -> Result<String> {
        let limit = patient(limit);
        let start = Instant::now();
        loop {
            if let Some(line) = self.serial.next_match(wanted) {
                return Ok(line);
            }
            if let Some(bad) = self.serial.bad_sign() {
                let text = format!("the guest said \"{bad}\" before {wanted:?}\n{}", self.tail());
                return Err(Error::Unexpected(text));
            }
            if let Some(ended) = self.qemu.ended() {
                let last = self.serial.next_match(wanted);
                return last.ok_or_else(|| Error::Unexpected(format!("{ended}\n{}", self.tail())));
            }
            if start.elapsed() > limit {
                return Err(self.timeout(format!("{wanted:?} on the serial line"), limit));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the guest has powered itself off.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> Result<()> {
        let log = self.tail();
        self.qemu.wait(patient(limit)).map_err(|error| Error::Unexpected(format!("{error}\n{log}")))
    }

    /// Types on the serial line.
    pub fn type_line(&mut self, text: &str) -> Result<()> {
        self.serial.write(&format!("{text}\r"))
    }

    /// Presses keys by QEMU's names (`ret`, `down`, `a`) on the guest's keyboard, one after another.
    pub fn press(&mut self, keys: &[&str]) -> Result<()> {
        for key in keys {
            self.qmp.press(key)?;
        }
        Ok(())
    }

    /// A PNG of the screen.
    pub fn screenshot(&mut self, to: &Path) -> Result<()> {
        self.qmp.screendump(to)
    }

    /// Presses the power button, and waits for the machine to be off.
    pub fn power_off(&mut self, limit: Duration) -> Result<()> {
        self.qmp.execute("system_powerdown", serde_json::json!({}))?;
        self.wait_for_power_off(limit)
    }

    /// Pulls the plug.
    pub fn pull_the_plug(mut self) {
        let _ = self.qmp.execute("quit", serde_json::json!({}));
        let _ = self.qemu.wait(Duration::from_secs(5));
    }

    /// Waits until the guest agent answers.
    pub fn wait_for_agent(&mut self, limit: Duration) -> Result<()> {
        let limit = patient(limit);
        let start = Instant::now();
        while start.elapsed() < limit {
            if self.agent.ping().is_ok() {
                return Ok(());
            }
            if let Some(ended) = self.qemu.ended() {
                return Err(Error::Unexpected(format!("{ended}\n{}", self.tail())));
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        Err(self.timeout("the guest agent".into(), limit))
    }

    /// Runs a shell script as root in the guest, whatever its status.
    pub fn shell(&mut self, script: &str, limit: Duration) -> Result<Answer> {
        self.agent.shell(script, patient(limit))
    }

    /// Runs a shell script as root in the guest and returns its stdout; a bad status is an error.
    pub fn root(&mut self, script: &str) -> Result<String> {
        let answer = self.shell(script, Duration::from_secs(240))?;
        if answer.status == 0 {
            return Ok(answer.stdout);
        }
        let status = answer.status;
        let text = format!("in the guest, status {status}: {script}\n{}{}", answer.stdout, answer.stderr);
        Err(Error::Unexpected(text))
    }

    fn tail(&self) -> String {
        let end = crate::error::tail(&self.console(), 40);
        format!("--- {} ends with\n{end}", self.log.display())
    }

    fn timeout(&self, what: String, limit: Duration) -> Error {
        Error::Timeout { what, seconds: limit.as_secs(), tail: self.tail() }
    }
}

/// Limits are for a computer that does nothing else; `LANDFALL_TEST_PATIENCE` multiplies them for a busy one.
fn patient(limit: Duration) -> Duration {
    let asked = std::env::var("LANDFALL_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    limit.saturating_mul(asked.unwrap_or(1).max(1))
}

/// swtpm, listening when this returns.
fn start_tpm(tpm: &Tpm, folder: &Path) -> Result<Daemon> {
    std::fs::create_dir_all(&tpm.state).doing("creating", &tpm.state)?;
    let mut daemon = Daemon::start(&tools::program("swtpm")?, &tpm.arguments(), &folder.join("swtpm.log"))?;
    let start = Instant::now();
    while !tpm.socket.exists() {
        if let Some(ended) = daemon.ended() {
            return Err(ended);
        }
        if start.elapsed() > patient(Duration::from_secs(10)) {
            return Err(Error::unexpected("swtpm does not listen"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(daemon)
}

/// Serial logs stay after a run: they are what a person reads when a test fails.
fn log_file(name: &str) -> Result<PathBuf> {
    let folder = tools::target().join("qemu-logs");
    std::fs::create_dir_all(&folder).doing("creating", &folder)?;
    let file = folder.join(format!("{name}.serial.log"));
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing("removing", &file)?,
        _ => {}
    }
    Ok(file)
}
