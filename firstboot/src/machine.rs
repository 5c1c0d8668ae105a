//! Loading what the host layer says of this machine, and refusing what would reach out of bounds.

use crate::error::{Error, Result};
use crate::files;
use crate::roots::Roots;
use landfall_hosts::machine::Machine;
use std::path::{Component, Path};

/// The highest `format` that this program reads.
const FORMAT: u32 = 1;

/// Reads and checks `/usr/lib/landfall/machine.toml`.
pub fn load(roots: &Roots) -> Result<Machine> {
    let path = roots.machine_toml();
    match files::read_text(&path)? {
        Some(text) => parse(&text),
        None => Err(Error::bad(
            path.display().to_string(),
            "it is not there; this image has no host layer: build it again",
        )),
    }
}

/// Parses and checks the text.
pub fn parse(text: &str) -> Result<Machine> {
    let bad = |why: String| Error::bad("machine.toml", why);
    let machine: Machine = toml::from_str(text).map_err(|error| bad(error.message().to_owned()))?;
    if machine.format > FORMAT {
        return Err(bad(format!(
            "its format is {}, and this program reads up to {FORMAT}; deploy a newer generation whole",
            machine.format
        )));
    }
    let names = machine
        .secrets
        .keys()
        .chain(machine.wifi.keys())
        .chain(machine.users.keys())
        .chain(machine.homes.keys());
    for name in names {
        if !is_name(name) {
            return Err(bad(format!("{name:?} cannot be a file's name")));
        }
    }
    for path in machine.templates.keys() {
        if !path.starts_with('/') || !is_inside(path.trim_start_matches('/')) {
            return Err(bad(format!("{path:?} is not a plain absolute path")));
        }
    }
    for home in machine.homes.values() {
        let paths = home.files.keys().chain(home.links.keys());
        for path in paths.chain(home.ini.keys()) {
            if !is_inside(path) {
                return Err(bad(format!("{path:?} does not stay in the home")));
            }
        }
    }
    Ok(machine)
}

/// True for one component that is neither hidden nor a way out.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && !text.starts_with(['.', '-'])
        && text.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c))
}

/// True for a relative path of plain components.
pub fn is_inside(path: &str) -> bool {
    let path = Path::new(path);
    let mut components = path.components().peekable();
    components.peek().is_some() && components.all(|part| matches!(part, Component::Normal(_)))
}

/// Octal permissions; `default` where none are given.
pub fn mode(text: &str, default: u32) -> Result<u32> {
    if text.is_empty() {
        return Ok(default);
    }
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err(Error::bad("machine.toml", format!("{text:?} is not an octal mode like 0400"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_a_host_layer_writes() {
        let machine = parse(
            "format = 1\nhost = \"vm\"\n[secrets.tailscale-key]\nmode = \"0400\"\n[homes.sam.files]\n\".config/nvim/init.lua\" = \"0644\"\n",
        )
        .unwrap();
        assert_eq!(machine.host, "vm");
    }

    #[test]
    fn refuses_what_reaches_out() {
        for text in [
            "format = 2",
            "format = \"x\"",
            "[secrets.\"../x\"]",
            "[secrets.\".x\"]",
            "[secrets.\"\"]",
            "[templates.\"etc/x\"]",
            "[templates.\"/etc/../x\"]",
            "[homes.sam.files]\n\"/etc/passwd\" = \"0644\"",
            "[homes.sam.links]\n\"a/../../b\" = \"c\"",
            "[homes.sam.ini.\"../x\"]",
            "[homes.\"a/b\"]",
            "not toml",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0440", 0).unwrap(), 0o440);
        assert_eq!(mode("", 0o400).unwrap(), 0o400);
        for text in ["999", "-1", "77777", "rw"] {
            assert!(mode(text, 0).is_err());
        }
    }
}
