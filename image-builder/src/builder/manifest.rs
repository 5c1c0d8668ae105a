//! From a merged host and its built parts to the manifest of a generation.

use super::BuildError;
use super::boot::BootFiles;
use super::version::SiteVersion;
use landfall_hosts::host::Host;
use landfall_hosts::manifest::{BiosBoot, EncryptSpec, FORMAT, InstallSpec, LayerRef, Manifest};
use landfall_hosts::profiles::Variants;
use landfall_layers::BuiltLayer;

/// Seconds after which a kernel that panicked reboots, so that boot counting can fall back.
const PANIC_SECONDS: u32 = 30;

/// What a manifest is made of beside the host.
pub struct Parts<'a> {
    /// Site id.
    pub site: &'a str,
    /// Version of the site.
    pub version: &'a SiteVersion,
    /// Newest date in the lock.
    pub epoch: u64,
    /// All layers, base first.
    pub layers: &'a [BuiltLayer],
    /// Kernel, initrds, EFI programs.
    pub boot: &'a BootFiles,
    /// The admins' age recipients.
    pub admins: &'a [String],
}

/// The manifest of one generation of a host.
pub fn of_host(host: &Host, parts: &Parts<'_>) -> Manifest {
    Manifest {
        format: FORMAT,
        site: parts.site.to_owned(),
        host: host.name.clone(),
        profiles: host.profiles(),
        serial: parts.version.serial,
        kernel_release: parts.boot.release.clone(),
        cmdline: command_line(host),
        site_commit: parts.version.commit.clone(),
        epoch: parts.epoch,
        variants: None,
        install: InstallSpec {
            match_rule: host.match_rule.clone(),
            disk: host.disk.match_rule.clone(),
            existing: host.disk.existing,
            on_error: host.install.on_error,
            encrypt: host.disk.encrypt.as_ref().map(|encrypt| EncryptSpec {
                unlock: encrypt.unlock.clone(),
                passphrase: encrypt.passphrase.as_ref().map(|reference| reference.secret.clone()),
                pin: encrypt.pin.as_ref().map(|reference| reference.secret.clone()),
                admins: parts.admins.to_vec(),
            }),
            menu_seconds: host.boot.timeout,
            swap: landfall_hosts::machine::swap(host),
        },
        kernel: parts.boot.kernel.reference.clone(),
        initrds: parts.boot.initrds.iter().map(|blob| blob.reference.clone()).collect(),
        efi: parts.boot.efi.iter().map(|blob| blob.program.clone()).collect(),
        bios: Some(BiosBoot {
            boot: parts.boot.grub.boot.reference.clone(),
            core: parts.boot.grub.core.reference.clone(),
        }),
        layers: parts
            .layers
            .iter()
            .map(|layer| LayerRef { kind: layer.kind, sha256: layer.sha256.clone(), size: layer.size })
            .collect(),
    }
}

/// The manifest that starts a medium whose installer chooses among `variants`: the one with the most
/// initrds, for that has microcode, and a medium starts on any machine.
pub fn starting<'a>(manifests: impl Iterator<Item = &'a Manifest>, variants: Variants) -> Option<Manifest> {
    let most = |best: &'a Manifest, other: &'a Manifest| {
        if other.initrds.len() > best.initrds.len() { other } else { best }
    };
    let manifest = manifests.reduce(most)?.clone();
    Some(Manifest { variants: Some(variants), ..manifest })
}

/// The exact bytes of a manifest: what is hashed and signed.
///
/// # Errors
/// If it cannot be written as TOML.
pub fn to_bytes(manifest: &Manifest) -> Result<Vec<u8>, BuildError> {
    let text = toml::to_string(manifest)
        .map_err(|source| BuildError::Toml { what: "the manifest of a generation", source })?;
    Ok(text.into_bytes())
}

/// The host's own words come last, so that they win.
fn command_line(host: &Host) -> String {
    let mut words = vec![format!("panic={PANIC_SECONDS}")];
    if host.boot.quiet {
        words.push("quiet".to_owned());
    }
    // Where a cpufreq driver comes late, tmpfiles finds no policy yet (kernel-parameters.txt).
    words.extend(host.power.governor.iter().map(|governor| format!("cpufreq.default_governor={governor}")));
    words.extend(host.kernel.params.iter().cloned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_words_come_last() {
        let mut host = Host::default();
        host.boot.quiet = true;
        host.kernel.params = vec!["panic=5".into()];
        assert_eq!(command_line(&host), "panic=30 quiet panic=5");
    }
}
