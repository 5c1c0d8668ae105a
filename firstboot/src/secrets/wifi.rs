//! Wi-Fi networks as NetworkManager keyfiles: nm-settings-keyfile(5), under `/run`, so in memory.

use super::template::{Plain, value};
use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::roots::Roots;
use landfall_hosts::machine::{Machine, MachineWifi};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Begins the names of our keyfiles, so that only ours are taken away.
const PREFIX: &str = "landfall-";

/// Writes the keyfiles and takes away those that are declared no more. True if one changed.
pub fn apply(roots: &Roots, machine: &Machine, secrets: &Plain) -> Result<bool> {
    let folder = folder(roots);
    // Unset is NetworkManager, as in the schema.
    if !["networkmanager", ""].contains(&machine.network_manager.as_str()) {
        return if machine.wifi.is_empty() {
            Ok(false)
        } else {
            Err(Error::Refused(
                "setting up Wi-Fi: only NetworkManager is supported; set network.manager = \"networkmanager\"".into(),
            ))
        };
    }
    let mut changed = remove_stale(roots, machine)?;
    for (name, wifi) in &machine.wifi {
        let text = keyfile(&machine.host, name, wifi, secrets)?;
        files::make_folder(&folder, 0o700)?;
        let path = folder.join(format!("{PREFIX}{name}.nmconnection"));
        if files::read(&path).is_ok_and(|old| *old == *text.as_bytes()) {
            continue;
        }
        files::replace(&path, text.as_bytes(), Access::ROOT_ONLY)?;
        changed = true;
    }
    Ok(changed)
}

fn folder(roots: &Roots) -> PathBuf {
    roots.run("NetworkManager/system-connections")
}

fn remove_stale(roots: &Roots, machine: &Machine) -> Result<bool> {
    let mut changed = false;
    let entries = fs::read_dir(folder(roots)).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(".nmconnection"));
        if ours.is_some_and(|name| !machine.wifi.contains_key(name)) {
            fs::remove_file(entry.path()).map_err(Error::at("removing", &entry.path()))?;
            changed = true;
        }
    }
    Ok(changed)
}

/// The keyfile's text.
fn keyfile(host: &str, name: &str, wifi: &MachineWifi, secrets: &Plain) -> Result<Zeroizing<String>> {
    let ssid = wifi.ssid.as_bytes();
    // IEEE 802.11: an SSID is 1 to 32 bytes.
    if ssid.is_empty() || ssid.len() > 32 {
        return Err(Error::Refused(format!("setting up Wi-Fi {name}: an ssid has 1 to 32 bytes")));
    }
    // Bytes, as the manual allows: no rule of quoting can change what the name is.
    let ssid: String = ssid.iter().map(|byte| format!("{byte};")).collect();
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str(&format!(
        "[connection]\nid={name}\nuuid={}\ntype=wifi\n\n[wifi]\nmode=infrastructure\nssid={ssid}\nhidden={}\n",
        uuid(host, name),
        wifi.hidden
    ));
    if let Some(secret) = &wifi.psk {
        let plain = secrets.get(secret).ok_or_else(|| {
            Error::Refused(format!("setting up Wi-Fi {name}: its secret {secret} could not be decrypted"))
        })?;
        text.push_str("\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=");
        push_key(&mut text, value(plain), name)?;
        text.push('\n');
    }
    text.push_str("\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n");
    Ok(text)
}

/// IEEE 802.11: a passphrase is 8 to 63 printable ASCII characters, a raw key 64 hex digits.
/// GKeyFile takes `\` as an escape and drops leading blanks.
fn push_key(text: &mut String, key: &[u8], name: &str) -> Result<()> {
    let passphrase = (8..=63).contains(&key.len()) && key.iter().all(|byte| (b' '..=b'~').contains(byte));
    let raw = key.len() == 64 && key.iter().all(u8::is_ascii_hexdigit);
    if !passphrase && !raw {
        return Err(Error::Refused(format!(
            "setting up Wi-Fi {name}: its secret is no WPA key (8 to 63 printable characters or 64 hex digits)"
        )));
    }
    let leading = key.iter().take_while(|byte| **byte == b' ').count();
    for (place, byte) in key.iter().enumerate() {
        match byte {
            b' ' if place < leading => text.push_str("\\s"),
            b'\\' => text.push_str("\\\\"),
            other => text.push(char::from(*other)),
        }
    }
    Ok(())
}

/// The same network has the same UUID at every boot: RFC 9562 version 8 from a hash.
fn uuid(host: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("landfall wifi {host} {name}"));
    let mut hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "a");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ssid: &str) -> MachineWifi {
        MachineWifi { ssid: ssid.into(), psk: Some("k".into()), hidden: false }
    }

    fn with(key: &str) -> Plain {
        Plain::from([("k".into(), Zeroizing::new(key.as_bytes().to_vec()))])
    }

    #[test]
    fn writes_what_the_manual_says() {
        let text = keyfile("vm", "home", &network("A;b"), &with("  pass\\word\n")).unwrap();
        assert!(text.contains("ssid=65;59;98;\n"), "{}", *text);
        assert!(text.contains("psk=\\s\\spass\\\\word\n"), "{}", *text);
        assert_eq!(uuid("vm", "home").len(), 36);
    }

    #[test]
    fn refuses_keys_that_would_break_the_file() {
        for key in ["short", "with\nnewline-psk=", "", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"] {
            let error = keyfile("vm", "home", &network("A"), &with(key)).unwrap_err();
            assert!(key.is_empty() || !error.to_string().contains(key));
        }
        assert!(keyfile("vm", "h", &network(""), &with("12345678")).is_err());
        assert!(keyfile("vm", "h", &network(&"x".repeat(33)), &with("12345678")).is_err());
        assert!(keyfile("vm", "h", &network("x"), &Plain::new()).is_err());
    }

    #[test]
    fn takes_away_ours_alone() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        fs::create_dir_all(folder(&roots)).unwrap();
        for name in ["landfall-old.nmconnection", "netplan.nmconnection"] {
            fs::write(folder(&roots).join(name), "").unwrap();
        }
        let machine = Machine { network_manager: "networkmanager".into(), ..Machine::default() };
        assert!(apply(&roots, &machine, &Plain::new()).unwrap());
        assert!(!folder(&roots).join("landfall-old.nmconnection").exists());
        assert!(folder(&roots).join("netplan.nmconnection").exists());
    }
}
