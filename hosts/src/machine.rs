//! What the host layer tells the running machine: `/usr/lib/landfall/machine.toml`.

use crate::host::{Health, Tailnet};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The machine's own half of the merged host; it holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// 1.
    pub format: u32,
    /// The host's name in the site.
    pub host: String,
    /// The machine's host name.
    pub hostname: String,
    /// Site id, as in the manifest.
    pub site: String,
    /// Seconds since 1970; the clock is never earlier.
    pub epoch: u64,
    /// Paths beside the built-in ones that survive the wipe at boot.
    pub keep: BTreeSet<String>,
    /// Users and where their password comes from.
    pub users: BTreeMap<String, MachineUser>,
    /// Secrets to decrypt at every boot.
    pub secrets: BTreeMap<String, MachineSecret>,
    /// Files made from templates with secrets: path → template.
    pub templates: BTreeMap<String, Template>,
    /// Wi-Fi networks: name → SSID and secret.
    pub wifi: BTreeMap<String, MachineWifi>,
    /// Network manager: `networkmanager`, `networkd`, `none`.
    pub network_manager: String,
    /// Tailscale.
    pub tailnet: Option<Tailnet>,
    /// Homes by user (`*` already spread over the users).
    pub homes: BTreeMap<String, MachineHome>,
    /// What makes a generation good.
    pub health: Health,
}

/// A user of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineUser {
    /// Uid and gid.
    pub uid: u32,
    /// Secret with a crypt(5) hash.
    pub password: Option<String>,
}

/// One secret: its ciphertext is `/usr/lib/landfall/secrets/NAME.age`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineSecret {
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Octal, `0400`.
    pub mode: String,
    /// Symbolic link to `/run/secrets/NAME`.
    pub link: Option<String>,
    /// Units restarted when it changes.
    pub restart: Vec<String>,
}

/// A file with `${secret:NAME}` in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Template {
    /// The text.
    pub text: String,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Octal.
    pub mode: String,
}

/// A Wi-Fi network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineWifi {
    /// Network name on the air.
    pub ssid: String,
    /// Secret with the pre-shared key.
    pub psk: Option<String>,
    /// The network does not announce itself.
    pub hidden: bool,
}

/// What is laid into one home. Tree files stand under `/usr/lib/landfall/home/USER/`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineHome {
    /// Files relative to `$HOME`, each with its octal mode; content under `home/USER/`.
    pub files: BTreeMap<String, String>,
    /// Symbolic links relative to `$HOME` → target.
    pub links: BTreeMap<String, String>,
    /// path → group → key → value.
    pub ini: BTreeMap<String, BTreeMap<String, BTreeMap<String, toml::Value>>>,
    /// dconf directory → key → value.
    pub dconf: BTreeMap<String, BTreeMap<String, toml::Value>>,
}

/// What stage 1 tells user space about this boot: `/run/landfall/boot.toml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootInfo {
    /// 1.
    pub format: u32,
    /// `boot`, or `try` for a host that runs from the medium.
    pub mode: String,
    /// Number of the generation; none when it runs from the medium.
    pub generation: Option<u64>,
    /// PARTUUID of the data partition.
    pub data: Option<String>,
    /// PARTUUID of the ESP on the same disk.
    pub esp: Option<String>,
    /// Device node of the whole disk.
    pub disk: Option<String>,
    /// The boot loader's id of the entry, `landfall-1.conf`.
    pub entry: Option<String>,
    /// `LoaderBootCountPath` before anything could bless it; none where the entry is not counted.
    pub boot_count_path: Option<String>,
}
