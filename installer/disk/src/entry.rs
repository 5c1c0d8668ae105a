//! Boot loader entries of type 1 and `loader.conf`
//! (<https://uapi-group.org/specifications/specs/boot_loader_specification/>, `loader.conf(5)`).

use std::fmt::Write as _;

use crate::error::{DiskError, Result};

/// Tries that a new entry of a machine gets.
pub const TRIES: u8 = 3;
/// Folder of entries on the ESP.
pub const ENTRIES: &str = "loader/entries";
/// The loader's configuration on the ESP.
pub const LOADER_CONF: &str = "loader/loader.conf";

/// One entry of the boot menu.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootEntry {
    /// What the menu shows.
    pub title: String,
    /// Entries are grouped by this, in ascending order.
    pub sort_key: String,
    /// Within a sort key the highest version comes first.
    pub version: String,
    /// Path of the kernel on the ESP, without a leading slash.
    pub linux: String,
    /// Paths of the initrds, in the order in which they are joined.
    pub initrds: Vec<String>,
    /// Command line.
    pub options: String,
}

impl BootEntry {
    /// The entry's text.
    pub fn render(&self) -> Result<String> {
        let mut out = String::new();
        line(&mut out, "title", &self.title)?;
        line(&mut out, "sort-key", &self.sort_key)?;
        line(&mut out, "version", &self.version)?;
        line(&mut out, "linux", &format!("/{}", self.linux))?;
        for initrd in &self.initrds {
            line(&mut out, "initrd", &format!("/{initrd}"))?;
        }
        line(&mut out, "options", &self.options)?;
        Ok(out)
    }
}

fn line(out: &mut String, key: &str, value: &str) -> Result<()> {
    if value.is_empty() || value.chars().any(char::is_control) {
        return Err(DiskError::BadText {
            what: "a boot entry",
            why: format!("its {key} {value:?} is empty or has a control character"),
        });
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{key:<10} {value}");
    Ok(())
}

/// Path of generation `n`'s entry on a machine's ESP, with tries left: `landfall-<n>+3.conf`.
pub fn machine_entry_path(generation: u64) -> String {
    format!("{ENTRIES}/landfall-{generation}+{TRIES}.conf")
}

/// `loader.conf` of a machine. No `default`: it would pin an entry past its tries.
pub fn machine_loader_conf(timeout_seconds: u32) -> String {
    format!("timeout {timeout_seconds}\neditor no\nconsole-mode keep\n")
}

/// `loader.conf` of a medium. `default` is the file name of the entry that starts by itself; none
/// waits for a person for ever.
pub fn medium_loader_conf(default: Option<&str>) -> String {
    match default {
        Some(entry) => format!("default {entry}\ntimeout 5\neditor no\nconsole-mode keep\n"),
        None => "timeout menu-force\neditor no\nconsole-mode keep\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> BootEntry {
        BootEntry {
            title: "Landfall vm".into(),
            sort_key: "landfall".into(),
            version: "7".into(),
            linux: "landfall/aa/vmlinuz".into(),
            initrds: vec!["landfall/bb/microcode".into(), "landfall/cc/initrd".into()],
            options: "landfall.mode=boot panic=30".into(),
        }
    }

    #[test]
    fn renders_the_initrds_in_order() {
        assert_eq!(
            entry().render().unwrap(),
            "title      Landfall vm\n\
             sort-key   landfall\n\
             version    7\n\
             linux      /landfall/aa/vmlinuz\n\
             initrd     /landfall/bb/microcode\n\
             initrd     /landfall/cc/initrd\n\
             options    landfall.mode=boot panic=30\n"
        );
    }

    #[test]
    fn a_line_break_cannot_smuggle_in_a_key() {
        let bad = BootEntry { title: "x\noptions init=/bin/sh".into(), ..entry() };
        assert!(bad.render().unwrap_err().to_string().contains("title"));
    }

    #[test]
    fn only_a_medium_has_a_default() {
        assert!(!machine_loader_conf(3).contains("default"));
        assert!(medium_loader_conf(Some("a.conf")).starts_with("default a.conf\n"));
        assert_eq!(machine_entry_path(7), "loader/entries/landfall-7+3.conf");
    }
}
