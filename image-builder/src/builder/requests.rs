//! Which layers of packages a site's hosts ask for, by the names that they have in the lock.

use landfall_debian::base;
use landfall_debian::resolve::LayerRequest;
use landfall_hosts::host::Host;
use std::collections::BTreeSet;

/// What the name of a profile's layer begins with, behind the host's; the set's name follows.
pub const PROFILE: &str = "profile@";

/// The layers of packages of one host, base first; a layer without packages is left out.
pub fn of_host(host: &Host) -> Vec<LayerRequest> {
    let base = base_name(host);
    let mut requests = vec![LayerRequest {
        name: base.clone(),
        parent: None,
        packages: base::wants(host.kernel.package.as_deref()),
        recommends_of: BTreeSet::new(),
    }];
    let mut own = host.packages.clone();
    // What differs between variants was told apart with these among it.
    if host.variant.is_none() {
        own.extend(host.implied_packages().into_iter().map(str::to_owned));
    }
    let mut steps = vec![("desktop".to_owned(), &host.desktop_packages), ("packages".to_owned(), &own)];
    let layers = host.profile_layers.iter();
    steps.extend(layers.map(|layer| (format!("{PROFILE}{}", layer.set), &layer.packages)));
    for (step, packages) in steps {
        if packages.is_empty() {
            continue;
        }
        // Recommends belong to the layer that asks for the package they hang on.
        let recommends = host.recommends_of.iter().filter(|name| asks_for(packages, name)).cloned();
        requests.push(LayerRequest {
            name: format!("{}/{step}", host.name),
            parent: requests.last().map(|request| request.name.clone()),
            packages: packages.clone(),
            recommends_of: recommends.collect(),
        });
    }
    requests
}

/// All layers of several hosts, each once, parents first.
pub fn of_hosts<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> Vec<LayerRequest> {
    let mut names = BTreeSet::new();
    hosts.into_iter().flat_map(of_host).filter(|request| names.insert(request.name.clone())).collect()
}

/// Hosts with the same kernel and architecture share a base.
fn base_name(host: &Host) -> String {
    let mut name = "base".to_owned();
    if let Some(kernel) = host.kernel.package.as_deref().filter(|name| *name != base::DEFAULT_KERNEL) {
        name.push_str(&format!("-{kernel}"));
    }
    name
}

fn asks_for(packages: &BTreeSet<String>, name: &str) -> bool {
    packages.iter().any(|package| package.split(['/', ':']).next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::host::ProfileLayer;

    #[test]
    fn hosts_share_the_base_and_empty_layers_are_left_out() {
        let host = |name: &str| Host {
            name: name.into(),
            packages: ["git", "vim/trixie-backports"].map(String::from).into(),
            recommends_of: ["vim".to_string()].into(),
            ..Host::default()
        };
        let requests = of_hosts([&host("a"), &host("b")]);
        let names: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
        assert_eq!(names, ["base", "a/packages", "b/packages"]);
        assert_eq!(requests[1].parent.as_deref(), Some("base"));
        let mut swaps = host("c");
        swaps.disk.swap = Some("zram".into());
        assert!(of_host(&swaps)[1].packages.contains("systemd-zram-generator"));
        assert_eq!(requests[1].recommends_of, ["vim".to_string()].into());
    }

    #[test]
    fn variants_share_all_but_their_profile() {
        let variant = |set: &str, package: &str| Host {
            name: "a".into(),
            packages: ["git".to_string()].into(),
            profile_layers: vec![ProfileLayer { set: set.into(), packages: [package.to_string()].into() }],
            variant: Some(set.into()),
            ..Host::default()
        };
        let requests = of_hosts([&variant("laptop", "fprintd"), &variant("vm", "qemu-guest-agent")]);
        let names: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
        assert_eq!(names, ["base", "a/packages", "a/profile@laptop", "a/profile@vm"]);
        assert_eq!(requests[3].parent.as_deref(), Some("a/packages"));
    }
}
