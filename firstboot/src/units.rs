//! The units and drop-ins that the host layer installs, with their texts.
//!
//! The file uses nothing of this crate, so that the image builder can take it in by `#[path]`
//! instead of linking what runs on the machine.

/// What is installed under `/usr/lib/systemd/system`: one line per item, `#` begins a comment.
pub const INDEX: &str = include_str!("../units/index");

/// Every file of [`INDEX`] by its path below `/usr/lib/systemd/system`.
pub const FILES: &[(&str, &str)] = &[
    ("landfall-secrets.service", include_str!("../units/landfall-secrets.service")),
    ("landfall-sshkeys.service", include_str!("../units/landfall-sshkeys.service")),
    ("landfall-firstboot.service", include_str!("../units/landfall-firstboot.service")),
    ("landfall-health.service", include_str!("../units/landfall-health.service")),
    ("landfall-bless.service", include_str!("../units/landfall-bless.service")),
    (
        "systemd-bless-boot.service.d/50-landfall.conf",
        include_str!("../units/systemd-bless-boot.service.d/50-landfall.conf"),
    ),
];

/// One line of [`INDEX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A unit: its name, its text, and the folders (`TARGET.wants`) that link to it.
    Unit(&'static str, &'static str, [Option<&'static str>; MAX_LINKS]),
    /// A drop-in: its path and its text.
    Dropin(&'static str, &'static str),
    /// A unit that must never run: `/etc/systemd/system/NAME` → `/dev/null`.
    Mask(&'static str),
}

/// Most links that one unit has.
pub const MAX_LINKS: usize = 2;

/// The items of [`INDEX`] in its order. A line that is wrong is left out; a test holds that none is.
pub fn items() -> impl Iterator<Item = Item> {
    INDEX.lines().filter_map(item)
}

fn item(line: &'static str) -> Option<Item> {
    let mut words = line.split_whitespace();
    let (kind, name) = (words.next()?, words.next()?);
    match kind {
        "unit" => Some(Item::Unit(name, text(name)?, [words.next(), words.next()])),
        "dropin" => Some(Item::Dropin(name, text(name)?)),
        "mask" => Some(Item::Mask(name)),
        _ => None,
    }
}

fn text(path: &str) -> Option<&'static str> {
    let (_, text) = FILES.iter().find(|(name, _)| *name == path)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_index_is_an_item_and_every_file_is_used() {
        let lines = INDEX.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).count();
        assert_eq!(items().count(), lines);
        for (name, _) in FILES {
            let used = items().any(|item| match item {
                Item::Unit(path, ..) | Item::Dropin(path, _) => path == *name,
                Item::Mask(_) => false,
            });
            assert!(used, "{name} stands in no line of the index");
        }
    }

    #[test]
    fn the_health_gate_stands_before_boot_complete() {
        let health = items().find_map(|item| match item {
            Item::Unit("landfall-health.service", text, links) => Some((text, links)),
            _ => None,
        });
        let (text, links) = health.unwrap();
        assert!(text.contains("\nBefore=boot-complete.target\n"));
        assert!(links.contains(&Some("boot-complete.target.requires")));
    }
}
