//! QEMU's machine protocol: one JSON object per line.

use crate::error::{Doing, Error, Result};
use crate::process::Daemon;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A connection that has said its capabilities.
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects as soon as QEMU listens.
    pub fn connect(socket: &Path, qemu: &mut Daemon) -> Result<Self> {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if start.elapsed() > Duration::from_secs(30) => {
                    return Err(error).doing("connecting to", socket);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(30)),
            }
            if let Some(ended) = qemu.ended() {
                return Err(ended);
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(30))).doing("setting a timeout on", socket)?;
        let mut qmp = Self { reader: BufReader::new(stream) };
        qmp.read()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and returns its answer; events in between are dropped.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        let sent = self.reader.get_mut().write_all(line.as_bytes());
        sent.map_err(|source| Error::Io { doing: format!("sending {command} to QEMU"), source })?;
        loop {
            let mut answer = self.read()?;
            if let Some(error) = answer.get("error") {
                return Err(Error::Unexpected(format!("QEMU refused {command}: {error}")));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Presses and releases one key.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let keys = json!([{ "type": "qcode", "data": key }]);
        self.execute("send-key", json!({ "keys": keys }))?;
        std::thread::sleep(Duration::from_millis(120));
        Ok(())
    }

    /// Writes a PNG of the screen.
    pub fn screendump(&mut self, to: &Path) -> Result<()> {
        self.execute("screendump", json!({ "filename": to, "format": "png" }))?;
        Ok(())
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        let count = self.reader.read_line(&mut line);
        let count = count.map_err(|source| Error::Io { doing: "reading QEMU's answer".into(), source })?;
        if count == 0 {
            return Err(Error::unexpected("QEMU closed its control socket"));
        }
        serde_json::from_str(&line)
            .map_err(|error| Error::Unexpected(format!("QEMU answered {line:?}: {error}")))
    }
}
