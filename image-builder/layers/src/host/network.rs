//! `[network]` and `[firewall]`.

use super::Layer;
use super::firewall::ruleset;
use crate::error::Result;
use crate::tree::Meta;

const NETWORKMANAGER: &str = "NetworkManager.service";
const NETWORKD: &str = "systemd-networkd.service";

impl Layer<'_> {
    pub(super) fn network(&mut self) -> Result<()> {
        let manager = self.spec.host.network.manager.clone();
        let (on, off) = match manager.as_str() {
            "networkmanager" | "" => (Some(NETWORKMANAGER), NETWORKD),
            "networkd" => (Some(NETWORKD), NETWORKMANAGER),
            _ => (None, NETWORKMANAGER),
        };
        if self.unit_exists(off) {
            self.disable(off)?;
        }
        if let Some(unit) = on {
            if !self.unit_exists(unit) {
                let reason = format!(
                    "no package of this host brings {unit}; add the package, or choose another [network] manager"
                );
                return Err(self.refused("network", reason));
            }
            self.enable(unit)?;
        }
        if on == Some(NETWORKD) {
            // systemd.network(5): every wired port that nothing else claims.
            let text = "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nUseDomains=yes\n";
            self.text("/etc/systemd/network/80-landfall-dhcp.network", text);
        }
        self.firewall()
    }

    fn firewall(&mut self) -> Result<()> {
        let spec = self.spec;
        if !spec.host.firewall.enable {
            return Ok(());
        }
        if !self.unit_exists("nftables.service") {
            let reason = "no package of this host brings nftables; add it, or say [firewall] enable = false";
            return Err(self.refused("firewall", reason));
        }
        self.tree.file("/etc/nftables.conf", ruleset(&spec.host.firewall), Meta::root(0o755));
        self.enable("nftables.service")
    }
}
