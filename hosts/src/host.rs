//! The merged host: what a site says of one machine after every tier was merged.
//!
//! Field names are the site's own keys, so this file is also the schema's typed half. Sets are
//! sorted and unique; removals (`"-NAME"`, `NAME = false`) are gone by the time a value is here.

use crate::rule::Rule;
use crate::swap::Swap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the site says of one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// The host's name in the site: its file's name.
    pub name: String,
    /// The machine's host name; the file's name unless set.
    pub hostname: String,
    /// Debian's name of the architecture.
    pub arch: String,
    /// Device slot: a profile's name, or `auto`.
    pub device: Option<String>,
    /// Desktop slot.
    pub desktop: Option<String>,
    /// GPU slot: a name, `auto` or `none`.
    pub gpu: Option<String>,
    /// How this machine is recognised.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_rule: Option<Rule>,
    /// Where its packages come from.
    pub sources: Sources,
    /// Packages of the desktop slot's modules, in apt's own syntax, less the host's removals.
    pub desktop_packages: BTreeSet<String>,
    /// All other packages of the site, in apt's own syntax.
    pub packages: BTreeSet<String>,
    /// Layers that the profiles of this variant add to what all variants of the host have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profile_layers: Vec<ProfileLayer>,
    /// Name of the set of profiles, where the installer chooses among several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Packages that come with their Recommends.
    pub recommends_of: BTreeSet<String>,
    /// debconf answers: package → question → value.
    pub debconf: BTreeMap<String, BTreeMap<String, toml::Value>>,
    /// Locale, keyboard, time zone.
    pub locale: Locale,
    /// Boot menu and splash.
    pub boot: Boot,
    /// Kernel parameters and modules.
    pub kernel: Kernel,
    /// sysctl key → value.
    pub sysctl: BTreeMap<String, toml::Value>,
    /// System-wide environment.
    pub env: BTreeMap<String, String>,
    /// Lid, governor.
    pub power: Power,
    /// GTK theme, cursor.
    pub theme: Theme,
    /// Network manager and Wi-Fi.
    pub network: Network,
    /// Packet filter.
    pub firewall: Firewall,
    /// Units to enable, disable, mask.
    pub services: Services,
    /// The site's own units.
    pub units: BTreeMap<String, Unit>,
    /// path → group → key → value of INI files of the system.
    pub ini: BTreeMap<String, BTreeMap<String, BTreeMap<String, toml::Value>>>,
    /// path → file.
    pub files: BTreeMap<String, File>,
    /// People.
    pub users: BTreeMap<String, User>,
    /// Homes by user; `*` is every user with a login shell.
    pub home: BTreeMap<String, Home>,
    /// The target disk.
    pub disk: Disk,
    /// Other disks: mounted, never formatted.
    pub mounts: BTreeMap<String, Mount>,
    /// Secrets that this host reads.
    pub secrets: BTreeMap<String, Secret>,
    /// Tailscale.
    pub tailnet: Option<Tailnet>,
    /// What survives the wipe at boot.
    pub state: State,
    /// What makes a generation good.
    pub health: Health,
    /// Scheduled updates.
    pub updates: Updates,
    /// What the installer does when it cannot go on.
    pub install: Install,
}

/// Debian's packages of the libraries that systemd loads by name where it uses a TPM
/// (systemd, `src/shared/tpm2-util.c`).
pub const TPM_LIBRARIES: [&str; 5] = [
    "libtss2-esys-3.0.2-0t64",
    "libtss2-mu-4.0.1-0t64",
    "libtss2-rc0t64",
    "libtss2-sys1t64",
    "libtss2-tcti-device0t64",
];

impl Host {
    /// Packages that other keys of a host stand for, so that nobody has to name them twice.
    pub fn implied_packages(&self) -> Vec<&'static str> {
        let mut packages = Vec::new();
        let wifi = !self.network.wifi.is_empty();
        match self.network.manager.as_str() {
            "networkmanager" => packages.push("network-manager"),
            "networkd" if wifi => packages.push("iwd"),
            _ => {}
        }
        if wifi {
            packages.push("wireless-regdb");
            if self.network.manager == "networkmanager" {
                packages.push("wpasupplicant");
            }
        }
        if crate::machine::swap(self) == Swap::Zram {
            packages.push("systemd-zram-generator");
        }
        packages.extend(crate::mounts::packages(self));
        if let Some(encrypt) = &self.disk.encrypt {
            packages.push("cryptsetup-bin");
            if encrypt.unlock.iter().any(|way| way.tpm_pin().is_some()) {
                packages.push("systemd-cryptsetup");
                packages.extend(TPM_LIBRARIES);
            }
        }
        packages
    }

    /// The profiles of its slots that the hardware decides, sorted: `laptop`, `nvidia`.
    pub fn profiles(&self) -> Vec<String> {
        let named = |name: &&String| !matches!(name.as_str(), "auto" | "none");
        let mut all: Vec<String> = self.device.iter().chain(&self.gpu).filter(named).cloned().collect();
        all.sort();
        all
    }
}

/// What one set of profiles adds to a smaller one, or to none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileLayer {
    /// The set's name.
    pub set: String,
    /// Packages, in apt's own syntax.
    pub packages: BTreeSet<String>,
}

/// Suites, components, foreign repositories, pins and single `.deb`s.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// Debian's suite, `trixie`.
    pub suite: String,
    /// Archive components.
    pub components: Vec<String>,
    /// Suites pinned to 100.
    pub extra_suites: Vec<String>,
    /// Mirrors the site names.
    pub mirror: Mirror,
    /// Foreign repositories by name.
    pub apt: BTreeMap<String, AptRepository>,
    /// Pins: package → version or priority text.
    pub pin: BTreeMap<String, toml::Value>,
    /// Single packages by URL and hash.
    pub debs: BTreeMap<String, SingleDeb>,
}

/// `[mirror]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mirror {
    /// Base URI of the archive.
    pub debian: Option<String>,
    /// Base URI of the security archive.
    pub security: Option<String>,
}

/// `[apt.NAME]`: a foreign repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AptRepository {
    /// Base URI.
    pub uri: String,
    /// Suite.
    pub suite: String,
    /// Components; `main` unless set.
    pub components: Vec<String>,
    /// OpenPGP key file, relative to the site.
    pub key: String,
}

/// `[debs.NAME]`: one `.deb` by URL and hash.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SingleDeb {
    /// Where it is.
    pub url: String,
    /// Its sha256 in hex.
    pub sha256: String,
}

/// `[locale]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Locale {
    /// `LANG`; `C.UTF-8` unless set.
    pub lang: String,
    /// Single `LC_*` values.
    pub formats: BTreeMap<String, String>,
    /// XKB layout with an optional variant: `de(nodeadkeys)`.
    pub keyboard: String,
    /// Name of the time zone in tzdata.
    pub timezone: String,
}

/// `[boot]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Boot {
    /// Few kernel messages.
    pub quiet: bool,
    /// Plymouth.
    pub splash: bool,
    /// Seconds that the boot menu waits.
    pub timeout: Option<u32>,
}

/// `[kernel]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kernel {
    /// Command line parameters, weak to strong in file order.
    pub params: Vec<String>,
    /// Modules to load.
    pub load: BTreeSet<String>,
    /// Modules never loaded by alias.
    pub blacklist: BTreeSet<String>,
    /// module → options.
    pub options: BTreeMap<String, String>,
    /// Kernel package; `linux-image-amd64` unless set.
    pub package: Option<String>,
}

/// `[power]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Power {
    /// logind's `HandleLidSwitch`.
    pub lid: Option<String>,
    /// cpufreq governor.
    pub governor: Option<String>,
}

/// `[theme]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Theme {
    /// GTK theme's name.
    pub gtk: Option<String>,
    /// Cursor theme.
    pub cursor: Option<Cursor>,
}

/// A cursor theme.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cursor {
    /// Theme's name.
    pub name: String,
    /// Pixels.
    pub size: u32,
}

/// `[network]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// `networkmanager`, `networkd` or `none`.
    pub manager: String,
    /// Wi-Fi networks by name.
    pub wifi: BTreeMap<String, Wifi>,
}

/// `[network.wifi.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wifi {
    /// Network name on the air.
    pub ssid: String,
    /// Pre-shared key; an open network without.
    pub psk: Option<SecretRef>,
    /// The network does not announce itself.
    pub hidden: bool,
}

/// `{ secret = "NAME" }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Name in `[secrets]`.
    pub secret: String,
}

/// `[firewall]`: deny in, allow out, unless `enable = false`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Firewall {
    /// On unless said otherwise.
    pub enable: bool,
    /// Interfaces from which all is accepted.
    pub trust: BTreeSet<String>,
    /// Open TCP ports.
    pub tcp: BTreeSet<u16>,
    /// Open UDP ports.
    pub udp: BTreeSet<u16>,
}

impl Default for Firewall {
    fn default() -> Self {
        Self { enable: true, trust: BTreeSet::new(), tcp: BTreeSet::new(), udp: BTreeSet::new() }
    }
}

/// `[services]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// Units to enable; `.service` is implied.
    pub enable: BTreeSet<String>,
    /// Units to disable.
    pub disable: BTreeSet<String>,
    /// Units to mask.
    pub mask: BTreeSet<String>,
}

/// `[units.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Unit {
    /// The unit file's text.
    pub text: Option<String>,
    /// A file of the site that holds it.
    pub source: Option<String>,
    /// Enabled by its `[Install]` section.
    pub enable: bool,
}

/// `[files.PATH]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// A file of the site.
    pub source: Option<String>,
    /// The text itself.
    pub text: Option<String>,
    /// Text with `${secret:NAME}`, made at each boot on the machine.
    pub template: Option<String>,
    /// A symbolic link to this target.
    pub link: Option<String>,
    /// Owner's name; root unless set.
    pub owner: Option<String>,
    /// Group's name; root unless set.
    pub group: Option<String>,
    /// Octal mode; `0644` unless set.
    pub mode: Option<String>,
}

/// `[users.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// GECOS full name.
    pub full_name: String,
    /// Uid and gid, 1000 and up.
    pub uid: u32,
    /// Further groups.
    pub groups: BTreeSet<String>,
    /// Login shell; `/bin/bash` unless set.
    pub shell: String,
    /// `authorized_keys` lines.
    pub ssh_keys: BTreeSet<String>,
    /// A crypt(5) hash as a secret.
    pub password: Option<SecretRef>,
}

/// `[home.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Home {
    /// Folders of the site laid over `$HOME`.
    pub trees: Vec<String>,
    /// path under `$HOME` → file.
    pub files: BTreeMap<String, File>,
    /// path → group → key → value.
    pub ini: BTreeMap<String, BTreeMap<String, BTreeMap<String, toml::Value>>>,
    /// dconf directory → key → value.
    pub dconf: BTreeMap<String, BTreeMap<String, toml::Value>>,
    /// git identity.
    pub git: Option<GitIdentity>,
    /// MIME type → desktop file.
    pub default_apps: BTreeMap<String, String>,
    /// Desktop files started at login.
    pub autostart: BTreeSet<String>,
    /// Environment of the user's session.
    pub env: BTreeMap<String, String>,
    /// User units.
    pub units: BTreeMap<String, Unit>,
}

/// `git = { name, email }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GitIdentity {
    /// `user.name`.
    pub name: String,
    /// `user.email`.
    pub email: String,
}

/// What may happen to data that is on the target disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// A disk that is not empty is refused.
    #[default]
    Refuse,
    /// All that is on the disk may be destroyed.
    Wipe,
    /// State of an earlier Landfall stays.
    KeepState,
}

/// `[disk]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// Exactly one disk must match.
    #[serde(rename = "match")]
    pub match_rule: Rule,
    /// What may happen to data.
    pub existing: Existing,
    /// LUKS2, when set.
    pub encrypt: Option<Encrypt>,
    /// `none`, `zram`, `file:SIZE`, `partition:SIZE`.
    pub swap: Option<String>,
    /// Named layout.
    pub layout: Option<String>,
}

/// A way to unlock an encrypted disk. A recovery key opens it always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unlock {
    /// A passphrase is asked for at boot.
    #[serde(rename = "passphrase")]
    Passphrase,
    /// The TPM, together with a PIN that is asked for at boot.
    #[serde(rename = "tpm2+pin")]
    Tpm2Pin,
    /// The TPM by itself.
    #[serde(rename = "tpm2")]
    Tpm2,
}

impl Unlock {
    /// Every way, and the word that a site writes for it.
    pub const WORDS: [(&'static str, Self); 3] =
        [("passphrase", Self::Passphrase), ("tpm2+pin", Self::Tpm2Pin), ("tpm2", Self::Tpm2)];

    /// Whether the TPM wants a PIN, too; none where no TPM is asked.
    pub fn tpm_pin(self) -> Option<bool> {
        match self {
            Self::Passphrase => None,
            Self::Tpm2Pin => Some(true),
            Self::Tpm2 => Some(false),
        }
    }

    /// The word that a site writes.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, way)| *way == self).map_or("", |(word, _)| word)
    }
}

/// `encrypt = { unlock = […] }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Encrypt {
    /// In the order in which they are tried; a passphrase unless set.
    pub unlock: Vec<Unlock>,
    /// Passphrase for unattended installs; of a disk whose state is kept, any key of it.
    pub passphrase: Option<SecretRef>,
    /// PIN for unattended installs.
    pub pin: Option<SecretRef>,
}

/// `[mounts.PATH]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mount {
    /// Filesystem label.
    pub label: Option<String>,
    /// Filesystem UUID.
    pub uuid: Option<String>,
    /// Disk rule.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_rule: Option<Rule>,
    /// Filesystem type.
    pub fs: Option<String>,
    /// Mount options.
    pub options: Option<String>,
}

/// `[secrets.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secret {
    /// `.age` or sops file, relative to the site.
    pub file: String,
    /// Key inside a sops file.
    pub key: Option<String>,
    /// A file in `/run/secrets` for a program, even if nothing refers to it.
    pub expose: bool,
    /// Owner of that file; root unless set.
    pub owner: Option<String>,
    /// Group of that file; root unless set.
    pub group: Option<String>,
    /// Octal mode; `0400` unless set.
    pub mode: Option<String>,
    /// A symbolic link to it.
    pub link: Option<String>,
    /// Units restarted when it changes.
    pub restart: Vec<String>,
}

/// `[tailnet]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tailnet {
    /// Auth key; the step waits for one without.
    pub auth_key: Option<SecretRef>,
    /// `--login-server`.
    pub server: Option<String>,
    /// `--operator`.
    pub operator: Option<String>,
}

/// `[state]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// Absolute paths that survive.
    pub keep: BTreeSet<String>,
}

/// `[health]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Units that must be active.
    pub units: BTreeSet<String>,
    /// The network must be up.
    pub network: bool,
    /// Seconds to wait for all of it.
    pub timeout: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { units: BTreeSet::new(), network: true, timeout: 300 }
    }
}

/// `[updates]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Updates {
    /// `none`, `security` or `all`.
    pub auto: Option<String>,
}

/// What the installer does when it cannot go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// Wait at a prompt on every console.
    #[default]
    Prompt,
    /// Write the report and power off.
    Poweroff,
}

/// `[install]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Install {
    /// What happens on a refusal or a failure.
    pub on_error: OnError,
}
