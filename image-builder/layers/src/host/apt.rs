//! Where `apt` on the running machine gets packages: sources.list(5) in deb822 style, keys beside
//! it, pins by apt_preferences(5).

use super::Layer;
use crate::error::Result;

const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.pgp";
const DEBIAN_KEYRING_OLD: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Layer<'_> {
    pub(super) fn apt(&mut self) -> Result<()> {
        let spec = self.spec;
        let sources = &spec.host.sources;
        let components =
            if sources.components.is_empty() { "main".to_owned() } else { sources.components.join(" ") };
        let suite = &sources.suite;
        let keyring = if self.below.exists(DEBIAN_KEYRING) { DEBIAN_KEYRING } else { DEBIAN_KEYRING_OLD };
        let mut suites = vec![suite.clone(), format!("{suite}-updates")];
        suites.extend(sources.extra_suites.iter().cloned());
        let stanza = |uri: &str, suites: &str, components: &str, key: &str| {
            format!("Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: {components}\nSigned-By: {key}\n")
        };
        let debian = stanza(&spec.mirror, &suites.join(" "), &components, keyring);
        let security = stanza(&spec.security_mirror, &format!("{suite}-security"), &components, keyring);
        self.text("/etc/apt/sources.list.d/debian.sources", format!("{debian}\n{security}"));
        let mut pins = String::new();
        for extra in &sources.extra_suites {
            pins.push_str(&format!("Package: *\nPin: release n={extra}\nPin-Priority: 100\n\n"));
        }
        for (package, value) in &sources.pin {
            let pin = landfall_debian::session::pin(package, value)?;
            pins.push_str(&format!(
                "Package: {}\nPin: {}\nPin-Priority: {}\n\n",
                pin.package, pin.what, pin.priority
            ));
        }
        if !pins.is_empty() {
            self.text("/etc/apt/preferences.d/landfall", pins);
        }
        for (name, repository) in &sources.apt {
            let key = self.site_bytes(&repository.key)?;
            // Armoured keys end in .asc, binary ones in .gpg (sources.list(5), Signed-By).
            let ending = if key.starts_with(b"-----BEGIN") { "asc" } else { "gpg" };
            let place = format!("/etc/apt/keyrings/{name}.{ending}");
            let components = if repository.components.is_empty() {
                "main".to_owned()
            } else {
                repository.components.join(" ")
            };
            let text = stanza(&repository.uri, &repository.suite, &components, &place);
            self.tree.file(&place, key, crate::tree::Meta::root(0o644));
            self.text(&format!("/etc/apt/sources.list.d/{name}.sources"), text);
        }
        Ok(())
    }
}
