//! The guest agent as a probe channel: runs shell scripts as root in the guest.
//! Protocol: <https://www.qemu.org/docs/master/interop/qemu-ga-ref.html>

use crate::error::{Doing, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How a script ended.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Exit status; 255 where a signal ended it.
    pub status: i64,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The channel. Each call connects anew: an answer that came too late for one call is not read by the next.
pub struct Agent {
    socket: PathBuf,
}

impl Agent {
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_path_buf() }
    }

    /// Whether the agent answers.
    pub fn ping(&mut self) -> Result<()> {
        self.call("guest-ping", json!({})).map(drop)
    }

    /// Runs `sh -c script`.
    pub fn shell(&mut self, script: &str, limit: Duration) -> Result<Answer> {
        let words = json!({ "path": "/bin/sh", "arg": ["-c", script], "capture-output": true });
        let started = self.call("guest-exec", words)?;
        let pid = &started["pid"];
        let start = Instant::now();
        while start.elapsed() < limit {
            let status = self.call("guest-exec-status", json!({ "pid": pid }))?;
            if status["exited"] == json!(true) {
                return Ok(answer(&status));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let what = format!("this to end in the guest: {script}");
        Err(Error::Timeout { what, seconds: limit.as_secs(), tail: String::new() })
    }

    fn call(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let stream =
            UnixStream::connect(&self.socket).doing("connecting to the guest agent", &self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).doing("setting a timeout on", &self.socket)?;
        let mut reader = BufReader::new(stream);
        let id = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.subsec_nanos());
        sync(&mut reader, id)?;
        send(&mut reader, &json!({ "execute": command, "arguments": arguments }))?;
        let mut reply = receive(&mut reader)?;
        match reply.get_mut("return") {
            Some(value) => Ok(value.take()),
            None => Err(Error::Unexpected(format!("the guest agent refused {command}: {reply}"))),
        }
    }
}

/// Throws away what an earlier connection left in the channel.
fn sync(reader: &mut BufReader<UnixStream>, id: u32) -> Result<()> {
    send(reader, &json!({ "execute": "guest-sync", "arguments": { "id": id } }))?;
    for _ in 0..20 {
        if receive(reader)?["return"] == json!(id) {
            return Ok(());
        }
    }
    Err(Error::unexpected("the guest agent does not come into step"))
}

fn send(reader: &mut BufReader<UnixStream>, value: &Value) -> Result<()> {
    let line = format!("{value}\n");
    let sent = reader.get_mut().write_all(line.as_bytes());
    sent.map_err(|source| Error::Io { doing: "asking the guest agent".into(), source })
}

fn receive(reader: &mut BufReader<UnixStream>) -> Result<Value> {
    let mut line = String::new();
    let count = reader.read_line(&mut line);
    let count =
        count.map_err(|source| Error::Io { doing: "reading the guest agent's answer".into(), source })?;
    if count == 0 {
        return Err(Error::unexpected("the guest agent's channel is closed"));
    }
    let text = line.trim_start_matches(|c: char| c != '{');
    serde_json::from_str(text)
        .map_err(|error| Error::Unexpected(format!("the guest agent answered {line:?}: {error}")))
}

fn answer(status: &Value) -> Answer {
    let decode = |key: &str| {
        let text = status[key].as_str().unwrap_or_default();
        String::from_utf8_lossy(&STANDARD.decode(text).unwrap_or_default()).into_owned()
    };
    Answer {
        status: status["exitcode"].as_i64().unwrap_or(255),
        stdout: decode("out-data"),
        stderr: decode("err-data"),
    }
}
