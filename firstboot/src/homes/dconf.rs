//! dconf keys of a user, through dconf itself: its database is its own.

use super::order::Record;
use super::values;
use crate::error::{Error, Result};
use crate::tools::{AsUser, Call, Commands, Tool};
use landfall_hosts::machine::MachineHome;
use std::collections::BTreeMap;

/// Sets the declared keys and resets those that are declared no more; records what was set.
pub fn apply(
    commands: &dyn Commands,
    user: &AsUser,
    declared: &MachineHome,
    record: &mut Record,
) -> Result<()> {
    let wanted = wanted(declared)?;
    let resets: Vec<String> = record
        .dconf
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .cloned()
        .chain(wanted.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.clone()))
        .collect();
    let text = keyfile(&wanted);
    if resets.is_empty() && text.is_empty() {
        return Ok(());
    }
    if !commands.has(Tool::DbusRunSession) {
        return Err(Error::Refused(
            "setting dconf keys: dbus-run-session is not installed; add the packages dconf-cli and dbus-daemon".into(),
        ));
    }
    for key in resets {
        let args = ["--", "dconf", "reset", key.as_str()];
        let call = Call::new(Tool::DbusRunSession, &args).user(user.clone());
        commands.check(&call, &format!("resetting the dconf key {key}"))?;
        record.dconf.remove(&key);
    }
    if !text.is_empty() {
        let args = ["--", "dconf", "load", "/"];
        let call = Call::new(Tool::DbusRunSession, &args).user(user.clone());
        commands.check(&call.stdin(text.as_bytes()), "setting dconf keys")?;
    }
    let set = wanted.into_iter().filter_map(|(key, value)| Some((key, value?)));
    record.dconf = set.collect();
    Ok(())
}

/// Full path of each key, and its value; none to reset it.
fn wanted(declared: &MachineHome) -> Result<BTreeMap<String, Option<String>>> {
    let mut all = BTreeMap::new();
    for (folder, keys) in &declared.dconf {
        for (key, value) in keys {
            let path = format!("/{}/{key}", folder.trim_matches('/'));
            let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.:".contains(c);
            if !path.chars().all(plain) || path.contains("//") {
                return Err(Error::bad("machine.toml", format!("{path:?} is not the path of a dconf key")));
            }
            all.insert(path, values::gvariant(value)?);
        }
    }
    Ok(all)
}

/// dconf(1): a keyfile whose groups are folders relative to the one that is loaded.
fn keyfile(wanted: &BTreeMap<String, Option<String>>) -> String {
    let mut folders: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, value) in wanted {
        if let (Some((folder, key)), Some(value)) = (path.rsplit_once('/'), value) {
            let lines = folders.entry(folder.trim_start_matches('/')).or_default();
            lines.push(format!("{key}={value}\n"));
        }
    }
    let groups = folders.iter();
    groups.map(|(folder, lines)| format!("[{folder}]\n{}\n", lines.concat())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::FakeCommands;

    fn home(text: &str) -> MachineHome {
        toml::from_str(text).unwrap()
    }

    fn sam() -> AsUser {
        AsUser { uid: 1000, gid: 1000, home: "/home/sam".into() }
    }

    #[test]
    fn keys_are_loaded_and_reset_when_they_go() {
        let commands = FakeCommands::default().answer("dbus-run-session", 0, "");
        let declared = home("[dconf.\"org/gnome/desktop/wm/keybindings\"]\nclose = ['<Super>q']\n");
        let mut record = Record::default();
        apply(&commands, &sam(), &declared, &mut record).unwrap();
        assert!(commands.called("dbus-run-session -- dconf load /"));
        let text = keyfile(&wanted(&declared).unwrap());
        assert_eq!(text, "[org/gnome/desktop/wm/keybindings]\nclose=['<Super>q']\n\n");
        apply(&commands, &sam(), &home(""), &mut record).unwrap();
        assert!(commands.called("dbus-run-session -- dconf reset /org/gnome/desktop/wm/keybindings/close"));
        assert!(record.dconf.is_empty());
    }

    #[test]
    fn nothing_declared_asks_for_nothing() {
        let commands = FakeCommands::default();
        apply(&commands, &sam(), &home(""), &mut Record::default()).unwrap();
        assert!(commands.calls.borrow().is_empty());
    }

    #[test]
    fn paths_that_are_none_are_refused() {
        for text in ["[dconf.\"a b\"]\nx = 1", "[dconf.\"a]\\n[b\"]\nx = 1", "[dconf.\"a//b\"]\nx = 1"] {
            assert!(wanted(&home(text)).is_err(), "{text}");
        }
    }
}
