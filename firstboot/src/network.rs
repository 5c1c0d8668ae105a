//! Is there a way out? The kernel's routing tables say so, whoever set them up.

use crate::files;
use crate::roots::Roots;

/// RTF_UP of the kernel's `linux/route.h`.
const UP: u32 = 0x1;
/// RTF_REJECT: the kernel's own ::/0 entry that answers "unreachable".
const REJECT: u32 = 0x200;

/// True when a default route of IPv4 or IPv6 is up.
pub fn has_default_route(roots: &Roots) -> bool {
    v4(&files::read_kernel(&roots.proc("net/route")))
        || v6(&files::read_kernel(&roots.proc("net/ipv6_route")))
}

/// `/proc/net/route`: destination, flags and mask stand in columns 2, 4 and 8.
fn v4(text: &str) -> bool {
    text.lines().skip(1).any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let flags = columns.get(3).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        columns.get(1) == Some(&"00000000")
            && columns.get(7) == Some(&"00000000")
            && flags.is_some_and(|flags| flags & UP != 0 && flags & REJECT == 0)
    })
}

/// `/proc/net/ipv6_route`: destination, prefix length, … flags and device in columns 9 and 10.
fn v6(text: &str) -> bool {
    text.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let flags = columns.get(8).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        let zero = columns.first().is_some_and(|to| !to.is_empty() && to.bytes().all(|b| b == b'0'));
        zero && columns.get(1) == Some(&"00")
            && columns.get(9).is_some_and(|device| *device != "lo")
            && flags.is_some_and(|flags| flags & UP != 0 && flags & REJECT == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

    #[test]
    fn knows_a_default_route_of_ipv4() {
        assert!(v4(&format!("{HEAD}eth0\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n")));
        assert!(!v4(&format!("{HEAD}eth0\t0002000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n")));
        assert!(!v4(HEAD) && !v4("") && !v4("x\ny z\n"));
    }

    #[test]
    fn the_kernels_own_unreachable_entry_is_no_route() {
        let zero = "0".repeat(32);
        let reject = format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n");
        assert!(!v6(&reject));
        let route = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000002 00000400 00000001 00000000 00450003     eth0\n"
        );
        assert!(v6(&route));
        assert!(!v6("garbage\n"));
    }
}
