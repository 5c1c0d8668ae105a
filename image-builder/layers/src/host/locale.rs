//! `[locale]`: locale.conf(5), keyboard(5), the time zone.

use super::Layer;
use crate::error::Result;

impl Layer<'_> {
    pub(super) fn locale(&mut self) -> Result<()> {
        let locale = &self.spec.host.locale;
        let lang = if locale.lang.is_empty() { "C.UTF-8" } else { &locale.lang };
        let mut text = format!("LANG={lang}\n");
        for (name, value) in &locale.formats {
            text.push_str(&format!("{name}={value}\n"));
        }
        // Debian 13's /etc/default/locale is a link to it.
        self.text("/etc/locale.conf", text.clone());
        if self.below.link("/etc/default/locale").is_none() {
            self.text("/etc/default/locale", text);
        }
        // The keyboard's file stands in the layer that compiled it, for console-setup compares dates.
        self.time_zone()
    }

    fn time_zone(&mut self) -> Result<()> {
        let zone = &self.spec.host.locale.timezone;
        let zone = if zone.is_empty() { "UTC" } else { zone.as_str() };
        let target = format!("/usr/share/zoneinfo/{zone}");
        if zone.contains("..") || !self.below.exists(&target) {
            return Err(self.refused(
                &format!("time zone {zone}"),
                "tzdata has none of that name; `timedatectl list-timezones` lists them (`tzdata-legacy` has the old names)",
            ));
        }
        self.tree.symlink("/etc/localtime", &target);
        self.text("/etc/timezone", format!("{zone}\n"));
        Ok(())
    }
}

/// keyboard(5) of `gb` or `de(nodeadkeys)`.
pub fn keyboard_file(keyboard: &str) -> String {
    let (layout, variant) = match keyboard.split_once('(') {
        Some((layout, variant)) => (layout, variant.trim_end_matches(')')),
        None => (keyboard, ""),
    };
    let layout = if layout.is_empty() { "us" } else { layout };
    format!(
        "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"{layout}\"\nXKBVARIANT=\"{variant}\"\nXKBOPTIONS=\"\"\n\nBACKSPACE=\"guess\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::keyboard_file;

    #[test]
    fn layout_and_variant() {
        assert!(keyboard_file("gb").contains("XKBLAYOUT=\"gb\"\nXKBVARIANT=\"\"\n"));
        assert!(keyboard_file("de(nodeadkeys)").contains("XKBLAYOUT=\"de\"\nXKBVARIANT=\"nodeadkeys\"\n"));
    }
}
