//! The boot menu of a medium: one entry per host, one to try it without installing, and on an
//! unattended medium the one that starts by itself.

use landfall_disk::BootEntry;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::cmdline;

/// An entry and the name of its file.
pub(crate) struct MenuEntry {
    /// File name below `loader/entries`.
    pub(crate) file: String,
    /// The entry.
    pub(crate) entry: BootEntry,
}

/// File name of the entry that an unattended medium starts by itself.
pub(crate) const UNATTENDED_FILE: &str = "unattended.conf";

/// The entries for `hosts`; `data` is the PARTUUID of the medium's data partition.
pub(crate) fn entries(hosts: &[&Manifest], unattended: Option<&str>, data: &str) -> Vec<MenuEntry> {
    let mut out = Vec::new();
    for host in hosts {
        let name = &host.host;
        if unattended == Some(name.as_str()) {
            let title = format!("Install {name} now, without asking");
            let words =
                format!("{}=install {}={name} {}=1", cmdline::MODE, cmdline::HOST, cmdline::UNATTENDED);
            out.push(
                Line { file: UNATTENDED_FILE, sort_key: "landfall-0", title: &title, words: &words }
                    .of(host, data),
            );
        }
        let words = format!("{}=install {}={name}", cmdline::MODE, cmdline::HOST);
        let file = format!("install-{name}.conf");
        let key = format!("landfall-1-{name}");
        let title = format!("Install {name}");
        out.push(Line { file: &file, sort_key: &key, title: &title, words: &words }.of(host, data));

        let title = match hosts.len() {
            1 => "Try without installing".to_owned(),
            _ => format!("Try without installing: {name}"),
        };
        let words = format!("{}=try {}={name}", cmdline::MODE, cmdline::HOST);
        let file = format!("try-{name}.conf");
        let key = format!("landfall-2-{name}");
        out.push(Line { file: &file, sort_key: &key, title: &title, words: &words }.of(host, data));
    }
    out
}

/// One line of the menu, before it is a host's.
struct Line<'a> {
    file: &'a str,
    sort_key: &'a str,
    title: &'a str,
    words: &'a str,
}

impl Line<'_> {
    fn of(&self, host: &Manifest, data: &str) -> MenuEntry {
        let options = format!("{} {}={data} {}", self.words, cmdline::DATA, host.cmdline);
        MenuEntry {
            file: self.file.to_owned(),
            entry: BootEntry {
                title: self.title.to_owned(),
                sort_key: self.sort_key.to_owned(),
                version: host.serial.to_string(),
                linux: host.kernel.esp_path(),
                initrds: host.initrds.iter().map(|blob| blob.esp_path()).collect(),
                options: options.trim_end().to_owned(),
            },
        }
    }
}
