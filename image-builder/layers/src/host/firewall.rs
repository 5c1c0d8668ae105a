//! `[firewall]` as an nftables ruleset (nft(8)).

use landfall_hosts::host::Firewall;
use std::collections::BTreeSet;

/// The text of /etc/nftables.conf: deny in, allow out.
///
/// Only Landfall's own table is replaced, so that a reload leaves the rules of Tailscale and of
/// containers alone. Echo requests, neighbour discovery and DHCP answers must come in, or the
/// network does not work.
pub fn ruleset(firewall: &Firewall) -> String {
    let mut rules = vec![
        "ct state vmap { established : accept, related : accept, invalid : drop }".to_owned(),
        "iifname \"lo\" accept".to_owned(),
    ];
    for interface in &firewall.trust {
        rules.push(format!("iifname \"{}\" accept", interface.replace(['"', '\\', '\n'], "")));
    }
    // By number: names of protocols need /etc/protocols. 1 is ICMP, 58 ICMPv6 (IANA).
    rules.push("meta l4proto { 1, 58 } accept".to_owned());
    rules.push("udp sport 67 udp dport 68 accept comment \"DHCP\"".to_owned());
    rules.push("ip6 saddr fe80::/10 udp dport 546 accept comment \"DHCPv6\"".to_owned());
    rules.extend(ports("tcp", &firewall.tcp));
    rules.extend(ports("udp", &firewall.udp));
    let rules: String = rules.iter().map(|rule| format!("\t\t{rule}\n")).collect();
    format!(
        "#!/usr/sbin/nft -f\n# Made by Landfall from the site's [firewall].\n\
         table inet landfall\ndelete table inet landfall\n\
         table inet landfall {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n{rules}\t}}\n}}\n"
    )
}

fn ports(protocol: &str, ports: &BTreeSet<u16>) -> Option<String> {
    let list: Vec<String> = ports.iter().map(u16::to_string).collect();
    (!list.is_empty()).then(|| format!("{protocol} dport {{ {} }} accept", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ruleset_says_what_the_site_says() {
        let firewall = Firewall {
            trust: ["tailscale0".to_owned()].into(),
            tcp: [22, 443].into(),
            ..Firewall::default()
        };
        let text = ruleset(&firewall);
        assert!(text.contains("policy drop;"));
        assert!(text.contains("iifname \"tailscale0\" accept"));
        assert!(text.contains("tcp dport { 22, 443 } accept"));
        assert!(!text.contains("udp dport {"));
        assert!(!text.contains("flush ruleset"));
    }

    #[test]
    fn an_interface_name_cannot_end_its_string() {
        let firewall = Firewall { trust: ["x\" accept\n\"".to_owned()].into(), ..Firewall::default() };
        assert!(ruleset(&firewall).contains("iifname \"x accept\" accept"));
    }
}
