//! What the host layer tells the running machine: `/usr/lib/landfall/machine.toml`.

use crate::host::{Health, Tailnet};
use crate::swap::Swap;
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
    /// Where memory may be swapped to.
    pub swap: Swap,
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
    /// The data partition was unlocked at boot.
    pub encrypted: bool,
    /// `LoaderBootCountPath` before anything could bless it; none where the entry is not counted.
    pub boot_count_path: Option<String>,
}

/// Make the machine's half of a merged host. `homes` are the files that [`crate::homes::of_host`]
/// found; the host layer lays their bytes beside this.
pub fn from_host(
    host: &crate::host::Host,
    site: &str,
    epoch: u64,
    homes: &BTreeMap<String, crate::homes::HomeFiles>,
) -> Machine {
    Machine {
        format: 1,
        host: host.name.clone(),
        hostname: host.hostname.clone(),
        site: site.to_owned(),
        epoch,
        keep: host.state.keep.clone(),
        users: host.users.iter().map(|(name, user)| (name.clone(), user_of(user))).collect(),
        secrets: host
            .secrets
            .iter()
            .filter(|(name, secret)| !is_for_the_installer(host, name, secret))
            .map(|(name, secret)| (name.clone(), secret_of(secret)))
            .collect(),
        templates: host.files.iter().filter_map(template_of).collect(),
        wifi: host.network.wifi.iter().map(|(name, wifi)| (name.clone(), wifi_of(wifi))).collect(),
        network_manager: host.network.manager.clone(),
        tailnet: host.tailnet.clone(),
        homes: crate::homes::settings(host, homes),
        health: host.health.clone(),
        swap: swap(host),
    }
}

/// A secret that nothing but the disk's passphrase is taken from: the running machine has no use
/// for it.
fn is_for_the_installer(host: &crate::host::Host, name: &str, secret: &crate::host::Secret) -> bool {
    let references = crate::site::finish::secret_references(host);
    let of_disk = |place: &Vec<String>| place.first().is_some_and(|part| part == "disk");
    !secret.expose && references.get(name).is_some_and(|places| places.iter().all(of_disk))
}

/// The host's swap; a text of another shape was reported when the site was read.
pub fn swap(host: &crate::host::Host) -> Swap {
    host.disk.swap.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn user_of(user: &crate::host::User) -> MachineUser {
    MachineUser { uid: user.uid, password: user.password.as_ref().map(|reference| reference.secret.clone()) }
}

fn root_unless(name: &Option<String>) -> String {
    name.clone().unwrap_or_else(|| "root".into())
}

fn secret_of(secret: &crate::host::Secret) -> MachineSecret {
    MachineSecret {
        owner: root_unless(&secret.owner),
        group: root_unless(&secret.group),
        mode: secret.mode.clone().unwrap_or_else(|| "0400".into()),
        link: secret.link.clone(),
        restart: secret.restart.clone(),
    }
}

fn template_of((path, file): (&String, &crate::host::File)) -> Option<(String, Template)> {
    let template = Template {
        text: file.template.clone()?,
        owner: root_unless(&file.owner),
        group: root_unless(&file.group),
        // It holds a secret, so nobody else reads it unless the site says so.
        mode: file.mode.clone().unwrap_or_else(|| "0600".into()),
    };
    Some((path.clone(), template))
}

fn wifi_of(wifi: &crate::host::Wifi) -> MachineWifi {
    MachineWifi {
        ssid: wifi.ssid.clone(),
        psk: wifi.psk.as_ref().map(|reference| reference.secret.clone()),
        hidden: wifi.hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{File, Host, Secret, SecretRef, User};

    #[test]
    fn the_disks_passphrase_stays_with_the_installer() {
        let mut host = Host::default();
        let encrypt = |secret: &str| crate::host::Encrypt {
            passphrase: Some(SecretRef { secret: secret.into() }),
            ..crate::host::Encrypt::default()
        };
        host.disk.encrypt = Some(encrypt("disk"));
        host.secrets.insert("disk".into(), Secret::default());
        let has = |host: &Host| from_host(host, "s", 0, &BTreeMap::new()).secrets.contains_key("disk");
        assert!(!has(&host));
        host.users.insert(
            "sam".into(),
            User { password: Some(SecretRef { secret: "disk".into() }), ..User::default() },
        );
        assert!(has(&host));
        host.users.clear();
        host.secrets.insert("disk".into(), Secret { expose: true, ..Secret::default() });
        assert!(has(&host));
    }

    #[test]
    fn a_machine_holds_names_of_secrets_and_their_defaults() {
        let mut host = Host { name: "vm".into(), ..Host::default() };
        host.secrets.insert("key".into(), Secret { file: "secrets/key.age".into(), ..Secret::default() });
        let password = Some(SecretRef { secret: "key".into() });
        host.users.insert("sam".into(), User { uid: 1000, password, ..User::default() });
        let template = Some("x ${secret:key}".to_owned());
        host.files.insert("/etc/x".into(), File { template, ..File::default() });
        host.files.insert("/etc/y".into(), File { text: Some("y".into()), ..File::default() });
        let machine = from_host(&host, "site", 7, &BTreeMap::new());
        assert_eq!(machine.secrets["key"].mode, "0400");
        assert_eq!(machine.users["sam"].password.as_deref(), Some("key"));
        assert_eq!(machine.templates.keys().collect::<Vec<_>>(), ["/etc/x"]);
        assert_eq!(machine.templates["/etc/x"].mode, "0600");
        let text = toml::to_string(&machine).unwrap();
        assert_eq!(toml::from_str::<Machine>(&text).unwrap(), machine);
    }
}
