//! headscale on loopback: its own DERP, SQLite, nothing fetched from anywhere.

use super::{LOGIN_SERVER, Programs};
use crate::error::{Doing, Error, Result};
use crate::process::{Daemon, run};
use serde::Deserialize;
use serde_json::Value;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A node as headscale lists it.
#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    /// Grows with each registration.
    pub id: u64,
    /// The name within the tailnet.
    pub given_name: String,
    /// The name that the machine gave.
    pub name: String,
    /// Whether it holds a connection now.
    #[serde(default)]
    pub online: bool,
    /// Changes only with a new registration.
    pub node_key: String,
}

/// A running server; dropped, it is gone, and its folder stays.
pub struct Headscale {
    server: Daemon,
    program: PathBuf,
    config: PathBuf,
    /// The loopback port that it listens on.
    pub port: u16,
}

impl Headscale {
    /// Starts a server that clients reach as [`LOGIN_SERVER`]; an earlier state in `folder` is taken up.
    pub fn start(programs: &Programs, folder: &Path) -> Result<Self> {
        Self::start_as(programs, folder, LOGIN_SERVER)
    }

    /// Starts a server that tells its clients another address.
    pub fn start_as(programs: &Programs, folder: &Path, url: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).doing("creating", folder)?;
        let port = free_port(folder)?;
        let url = url.replace("PORT", &port.to_string());
        let config = folder.join("config.yaml");
        std::fs::write(&config, configuration(folder, &url, port)?).doing("writing", &config)?;
        let words = ["serve".into(), "--config".into(), config.display().to_string()];
        let server = Daemon::start(&programs.headscale, &words, &folder.join("headscale.log"))?;
        let mut headscale = Self { server, program: programs.headscale.clone(), config, port };
        headscale.wait_until_it_answers()?;
        Ok(headscale)
    }

    /// A key that any number of machines may join with.
    pub fn mint_key(&self) -> Result<String> {
        let users: Value = self.ask(&["users", "list"])?;
        let known = users.as_array().is_some_and(|list| !list.is_empty());
        if !known {
            self.ask(&["users", "create", "landfall"])?;
        }
        let users: Value = self.ask(&["users", "list"])?;
        let id = users[0]["id"]
            .as_u64()
            .ok_or_else(|| Error::Unexpected(format!("headscale listed users {users}")))?;
        let minted = self.ask(&[
            "preauthkeys",
            "create",
            "--user",
            &id.to_string(),
            "--reusable",
            "--expiration",
            "720h",
        ])?;
        let key = minted["key"].as_str().map(str::to_owned);
        key.ok_or_else(|| Error::unexpected("headscale minted a key without a key"))
    }

    /// Every node.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        let listed = self.ask(&["nodes", "list"])?;
        if listed.is_null() {
            return Ok(Vec::new());
        }
        serde_json::from_value(listed)
            .map_err(|error| Error::Unexpected(format!("reading headscale's nodes: {error}")))
    }

    /// Waits until a node of this name is online.
    pub fn wait_online(&self, name: &str, limit: Duration) -> Result<Node> {
        let start = Instant::now();
        loop {
            let nodes = self.nodes()?;
            if let Some(node) = nodes.iter().find(|node| node.given_name == name && node.online) {
                return Ok(node.clone());
            }
            if start.elapsed() > limit {
                let tail = format!("headscale lists {nodes:?}");
                return Err(Error::Timeout {
                    what: format!("{name} in the tailnet"),
                    seconds: limit.as_secs(),
                    tail,
                });
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn ask(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.args(words).args(["-o", "json", "--config"]).arg(&self.config);
        let said = run(&mut command)?;
        let start = said.find(['{', '[']).unwrap_or(said.len());
        match said.get(start..).unwrap_or_default().trim() {
            "" => Ok(Value::Null),
            json => serde_json::from_str(json).map_err(|error| {
                Error::Unexpected(format!("headscale {}: {error}\n{said}", words.join(" ")))
            }),
        }
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            if let Some(ended) = self.server.ended() {
                return Err(ended);
            }
            let listens = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            if listens && self.ask(&["users", "list"]).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(Error::Timeout { what: "headscale".into(), seconds: 60, tail: String::new() })
    }
}

/// A TCP port that was free a moment ago.
fn free_port(folder: &Path) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).doing("finding a free port for", folder)?;
    Ok(listener.local_addr().doing("finding a free port for", folder)?.port())
}

fn configuration(folder: &Path, url: &str, port: u16) -> Result<String> {
    let stun = UdpSocket::bind(("127.0.0.1", 0)).doing("finding a free port for", folder)?;
    let stun = stun.local_addr().doing("finding a free port for", folder)?.port();
    let grpc = free_port(folder)?;
    let at = |name: &str| folder.join(name).display().to_string();
    // The control socket's path must be short; a folder in a deep target would pass its 108 bytes.
    let socket = std::env::temp_dir().join(format!("landfall-headscale-{port}.sock"));
    let database = at("db.sqlite");
    Ok(format!(
        "server_url: {url}\nlisten_addr: 127.0.0.1:{port}\nmetrics_listen_addr: \"\"\ngrpc_listen_addr: 127.0.0.1:{grpc}\n\
         noise:\n  private_key_path: {noise}\nprefixes:\n  v4: 100.64.0.0/10\n  v6: fd7a:115c:a1e0::/48\n\
         derp:\n  server:\n    enabled: true\n    region_id: 999\n    region_code: test\n    region_name: test\n    \
         verify_clients: false\n    stun_listen_addr: 127.0.0.1:{stun}\n    private_key_path: {derp}\n  \
         urls: []\n  paths: []\n  auto_update_enabled: false\n\
         disable_check_updates: true\nephemeral_node_inactivity_timeout: 30m\n\
         database:\n  type: sqlite\n  sqlite:\n    path: {database}\n    write_ahead_log: false\n\
         log:\n  level: info\ndns:\n  magic_dns: false\n  base_domain: tail.example.org\n  override_local_dns: false\n  \
         nameservers:\n    global: []\n\
         unix_socket: {socket}\nunix_socket_permission: \"0700\"\n",
        noise = at("noise.key"),
        derp = at("derp.key"),
        socket = socket.display()
    ))
}
