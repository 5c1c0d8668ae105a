//! `[mounts]` as fstab(5), which Debian's users know, and zram swap as its generator reads it.

use super::Layer;
use landfall_hosts::host::Mount;
use landfall_hosts::mounts;
use landfall_hosts::swap::Swap;

/// Goes before the site's own options, so that those win. A disk that is missing is waited for that
/// long, and never in the way of the boot (systemd.mount(5)).
const OPTIONS: &str = "defaults,nofail,x-systemd.device-timeout=30s";
/// Half of the memory, compressed to about a third of it (zram-generator.conf(5)).
const ZRAM: &str = "# [disk] swap = \"zram\"\n[zram0]\nzram-size = min(ram / 2, 8192)\n\
    compression-algorithm = zstd\n";

impl Layer<'_> {
    pub(super) fn mounts(&mut self) {
        let host = &self.spec.host;
        // Stage 1 has mounted the system; this table is for other disks alone.
        let mut table = "# Landfall mounts the system before PID 1 starts.\n".to_owned();
        table.extend(host.mounts.iter().filter_map(|(path, mount)| line(path, mount)));
        self.text("/etc/fstab", table);
        if self.spec.machine.swap == Swap::Zram {
            self.text("/etc/systemd/zram-generator.conf", ZRAM);
        }
    }
}

/// The last number has the filesystem checked after the root's, where a checker for it is installed.
fn line(path: &str, mount: &Mount) -> Option<String> {
    let source = mounts::source(mount)?;
    let options = match mount.options.as_deref() {
        Some(own) => format!("{OPTIONS},{own}"),
        None => OPTIONS.to_owned(),
    };
    let fields = [source.as_str(), path, mounts::filesystem(mount), options.as_str()].map(escaped);
    Some(format!("{} 0 2\n", fields.join(" ")))
}

/// fstab(5): what would end a field stands as its octal number.
fn escaped(field: &str) -> String {
    let mut out = String::new();
    for c in field.chars() {
        match c {
            ' ' => out.push_str("\\040"),
            '\t' => out.push_str("\\011"),
            '\n' => out.push_str("\\012"),
            '\\' => out.push_str("\\134"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_survives_odd_names_and_never_blocks_the_boot() {
        let mount = |label: &str| Mount { label: Some(label.into()), ..Mount::default() };
        assert_eq!(
            line("/srv/my films", &mount("My Films\\1")).unwrap(),
            "LABEL=My\\040Films\\1341 /srv/my\\040films auto \
             defaults,nofail,x-systemd.device-timeout=30s 0 2\n"
        );
        let own = Mount {
            uuid: Some("1234-ABCD".into()),
            fs: Some("vfat".into()),
            options: Some("ro,x-systemd.device-timeout=5s".into()),
            ..Mount::default()
        };
        let text = line("/m", &own).unwrap();
        assert!(text.starts_with("UUID=1234-ABCD /m vfat defaults,nofail,"), "{text}");
        assert!(text.ends_with("timeout=30s,ro,x-systemd.device-timeout=5s 0 2\n"), "{text}");
        assert_eq!(line("/m", &Mount::default()), None);
    }
}
