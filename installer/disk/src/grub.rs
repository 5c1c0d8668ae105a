//! GRUB's menus: on a medium the same entries as systemd-boot shows, on a machine an entry per generation whose
//! tries are counted before its kernel starts (GRUB manual, "The GRUB script language").
//!
//! GRUB has no arithmetic, so the values are written out.

use std::fmt::Write as _;

use landfall_hosts::grubenv::{Tries, variable};
use landfall_hosts::paths::cmdline;

use crate::entry::{BootEntry, TRIES};
use crate::error::{DiskError, Result};

/// Seconds until an unattended medium starts by itself, as on UEFI.
const UNATTENDED_SECONDS: u32 = 5;

/// With a superuser who has no password, the menu's editor and shell stay closed, as they are on UEFI.
const CLOSED: &str = "set superusers=nobody\n";

/// An entry and the name by which the menu knows it.
#[derive(Debug, Clone)]
pub struct GrubEntry {
    /// A word.
    pub id: String,
    /// The entry.
    pub entry: BootEntry,
}

/// `grub.cfg` of a medium; the entries in the order in which they are shown.
///
/// # Errors
/// If a text cannot stand in a menu, or GRUB cannot hand a command line to the kernel as it is.
pub fn medium_grub_cfg(entries: &[GrubEntry]) -> Result<String> {
    let mut out = format!("{CLOSED}source $prefix/start.cfg\n");
    for item in entries {
        let _ = writeln!(out, "menuentry {} --id {} --unrestricted {{", title(item)?, item.id);
        let _ = writeln!(out, "    linux {}", linux(&item.entry)?);
        let _ = writeln!(out, "    initrd {}", initrds(&item.entry)?);
        out.push_str("}\n");
    }
    Ok(out)
}

/// What a medium starts by itself, in a file of its own, so that a spent medium gets another one. Without a default
/// the menu waits for a person for ever.
pub fn medium_grub_start(default: Option<&str>) -> String {
    match default {
        Some(id) => format!("set default={id}\nset timeout={UNATTENDED_SECONDS}\n"),
        None => "set timeout=-1\n".to_owned(),
    }
}

/// `grub.cfg` of a machine with these generations, in any order.
///
/// The newest that has not failed is started; where all have, the newest. An entry that cannot even be loaded
/// restarts the machine, so that its tries are used up as well.
///
/// # Errors
/// As for [`medium_grub_cfg`].
pub fn machine_grub_cfg(timeout_seconds: u32, generations: &[(u64, BootEntry)]) -> Result<String> {
    let mut newest_first: Vec<&(u64, BootEntry)> = generations.iter().collect();
    newest_first.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let mut out = CLOSED.to_owned();
    let names: Vec<String> = newest_first.iter().map(|(number, _)| variable(*number)).collect();
    let _ = writeln!(out, "set timeout={timeout_seconds}\nload_env {}", names.join(" "));
    if let Some((number, _)) = newest_first.first() {
        let _ = writeln!(out, "set default={}", id(*number));
    }
    for (number, _) in newest_first.iter().rev() {
        let can_start: Vec<String> = [Tries::Left(0), Tries::Past]
            .map(|failed| format!("\"${}\" != {}", variable(*number), failed.word()))
            .into();
        let _ = writeln!(out, "if [ {} ]; then set default={}; fi", can_start.join(" -a "), id(*number));
    }
    out.push_str(&count());
    for (number, entry) in newest_first {
        machine_entry(&mut out, *number, entry)?;
    }
    Ok(out)
}

fn id(generation: u64) -> String {
    format!("landfall-{generation}")
}

/// A function of a generation's number and the value of its variable: notes one try less, and says what it did to
/// the kernel.
fn count() -> String {
    let mut out = "function count {\n    set tries=\n".to_owned();
    let _ = writeln!(out, "    if [ \"$2\" = {} ]; then return; fi", Tries::Good.word());
    // An environment that was lost counts as new.
    let mut cases = vec![(None, Tries::Left(TRIES - 1))];
    cases.extend((1..TRIES).rev().map(|left| (Some(Tries::Left(left)), Tries::Left(left - 1))));
    cases.extend([Tries::Left(0), Tries::Past].map(|failed| (Some(failed), Tries::Past)));
    for (now, next) in cases {
        let (left, done) = match next {
            Tries::Left(left) => (left, TRIES - left),
            Tries::Good | Tries::Past => (0, TRIES + 1),
        };
        let set = format!("set {}$1={}; set tries={}={left}-{done}", prefix(), next.word(), cmdline::TRIES);
        let _ = match now {
            None => writeln!(out, "    {set}"),
            Some(now) => writeln!(out, "    if [ \"$2\" = {} ]; then {set}; fi", now.word()),
        };
    }
    let _ = writeln!(out, "    save_env {}$1\n}}", prefix());
    out
}

fn prefix() -> String {
    variable(0).trim_end_matches('0').to_owned()
}

fn machine_entry(out: &mut String, number: u64, entry: &BootEntry) -> Result<()> {
    let item = GrubEntry { id: id(number), entry: entry.clone() };
    let _ = writeln!(out, "menuentry {} --id {} --unrestricted {{", title(&item)?, item.id);
    let _ = writeln!(out, "    count {number} \"${}\"", variable(number));
    let _ = writeln!(out, "    if linux {} $tries; then", linux(entry)?);
    let _ = writeln!(out, "        if initrd {}; then boot; fi", initrds(entry)?);
    out.push_str("    fi\n    echo 'This entry cannot be loaded. The machine restarts.'\n");
    out.push_str("    sleep 3\n    reboot\n}\n");
    Ok(())
}

fn title(item: &GrubEntry) -> Result<String> {
    quoted(&item.entry.title)
}

fn linux(entry: &BootEntry) -> Result<String> {
    let mut words = vec![quoted(&format!("/{}", entry.linux))?];
    for word in kernel_words(&entry.options) {
        // `grub-core/lib/cmdline.c` puts a backslash before each of them, which the kernel would keep.
        if word.contains(['\\', '\'']) {
            return Err(DiskError::BadText {
                what: "an entry of GRUB's menu",
                why: format!(
                    "GRUB cannot hand {word:?} to the kernel; take the backslash or the single quote out of \
                     kernel.params"
                ),
            });
        }
        words.push(quoted(&word)?);
    }
    Ok(words.join(" "))
}

fn initrds(entry: &BootEntry) -> Result<String> {
    let paths: Result<Vec<String>> = entry.initrds.iter().map(|path| quoted(&format!("/{path}"))).collect();
    Ok(paths?.join(" "))
}

/// A command line's words without their double quotes (kernel, `lib/cmdline.c`): GRUB sets its own around a word
/// with a blank.
fn kernel_words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut inside = false;
    for c in options.chars() {
        match c {
            '"' => inside = !inside,
            c if c.is_whitespace() && !inside => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// In single quotes nothing is special but the quote itself.
fn quoted(text: &str) -> Result<String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(DiskError::BadText {
            what: "an entry of GRUB's menu",
            why: format!("{text:?} is empty or has a control character"),
        });
    }
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(options: &str) -> BootEntry {
        BootEntry {
            title: "Sam's vm".into(),
            sort_key: "landfall".into(),
            version: "1".into(),
            linux: "landfall/aa/vmlinuz".into(),
            initrds: vec!["landfall/bb/microcode".into(), "landfall/cc/initrd".into()],
            options: options.into(),
        }
    }

    #[test]
    fn a_medium_shows_its_entries_and_starts_what_its_other_file_says() {
        let item =
            GrubEntry { id: "install-vm".into(), entry: entry("landfall.mode=install dyndbg=\"file x +p\"") };
        assert_eq!(
            medium_grub_cfg(&[item]).unwrap(),
            "set superusers=nobody\nsource $prefix/start.cfg\n\
             menuentry 'Sam'\\''s vm' --id install-vm --unrestricted {\n    \
             linux '/landfall/aa/vmlinuz' 'landfall.mode=install' 'dyndbg=file x +p'\n    \
             initrd '/landfall/bb/microcode' '/landfall/cc/initrd'\n}\n"
        );
        assert_eq!(medium_grub_start(Some("unattended")), "set default=unattended\nset timeout=5\n");
        assert_eq!(medium_grub_start(None), "set timeout=-1\n");
    }

    #[test]
    fn a_machine_starts_the_newest_that_has_not_failed_and_counts() {
        let text = machine_grub_cfg(3, &[(9, entry("a")), (10, entry("b"))]).unwrap();
        let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("no {needle} in\n{text}"));
        assert!(at("load_env landfall_tries_10 landfall_tries_9\n") < at("set default=landfall-10\n"));
        let older = at(
            "if [ \"$landfall_tries_9\" != 0 -a \"$landfall_tries_9\" != past ]; then set default=landfall-9; fi\n",
        );
        assert!(older < at("!= past ]; then set default=landfall-10; fi\n"));
        assert!(at("--id landfall-10 ") < at("--id landfall-9 "));
        at("    set landfall_tries_$1=2; set tries=landfall.tries=2-1\n");
        at("    if [ \"$2\" = 1 ]; then set landfall_tries_$1=0; set tries=landfall.tries=0-3; fi\n");
        at("    if [ \"$2\" = 0 ]; then set landfall_tries_$1=past; set tries=landfall.tries=0-4; fi\n");
        at("    count 10 \"$landfall_tries_10\"\n    if linux '/landfall/aa/vmlinuz' 'b' $tries; then\n");
    }

    #[test]
    fn what_grub_would_change_is_refused() {
        for options in ["a='b'", "a=\\x", "a\u{7}"] {
            assert!(machine_grub_cfg(3, &[(1, entry(options))]).is_err(), "{options}");
        }
        let named = BootEntry { title: "x\n}".into(), ..entry("a") };
        assert!(medium_grub_cfg(&[GrubEntry { id: "x".into(), entry: named }]).is_err());
    }
}
