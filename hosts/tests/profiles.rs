//! Hosts that leave slots to their hardware: which variants there are, and what facts make of them.

mod common;

use common::{errors, host, one_error, site};
use landfall_hosts::host::Host;
use landfall_hosts::profiles::Variants;
use landfall_hosts::rule::{FactMap, FactValue};
use landfall_hosts::site::Resolved;

const AUTO: (&str, &str) = ("hosts/h.toml", "device = \"auto\"\ngpu = \"auto\"");

fn variants(files: &[(&str, &str)]) -> Vec<Resolved> {
    site(files).variants("h").unwrap_or_else(|problems| panic!("{problems}"))
}

fn sets(files: &[(&str, &str)]) -> Vec<String> {
    variants(files).into_iter().filter_map(|one| one.host.variant).collect()
}

fn adds(host: &Host, layer: usize, package: &str) -> bool {
    host.profile_layers[layer].packages.contains(package)
}

#[test]
fn the_shipped_profiles_fit_on_one_medium() {
    let both = [
        "desktop",
        "desktop+nvidia",
        "laptop",
        "laptop+nvidia",
        "server",
        "server+nvidia",
        "vm",
        "vm+nvidia",
    ];
    assert_eq!(sets(&[AUTO]), both);
    assert_eq!(sets(&[("hosts/h.toml", "device = \"auto\"")]), ["desktop", "laptop", "server", "vm"]);
    assert_eq!(sets(&[("hosts/h.toml", "device = \"vm\"\ngpu = \"auto\"")]), ["plain", "nvidia"]);
    assert!(sets(&[("hosts/h.toml", "device = \"vm\"")]).is_empty(), "a pinned host has one generation");
    assert_eq!(errors(&[AUTO]), Vec::<String>::new());
}

#[test]
fn what_variants_share_is_told_from_what_their_profile_adds() {
    let all = variants(&[AUTO]);
    let find =
        |set: &str| all.iter().map(|one| &one.host).find(|h| h.variant.as_deref() == Some(set)).unwrap();
    let (laptop, vm) = (find("laptop"), find("vm"));
    assert_eq!(laptop.packages, vm.packages);
    assert!(laptop.packages.contains("openssh-server") && laptop.packages.contains("network-manager"));
    assert!(adds(laptop, 0, "fprintd") && !adds(vm, 0, "fprintd") && adds(vm, 0, "qemu-guest-agent"));
    let both = find("laptop+nvidia");
    assert_eq!(both.profile_layers[0], laptop.profile_layers[0], "what laptops have stands below");
    assert_eq!(both.profile_layers[1].packages, ["firmware-nvidia-graphics".to_owned()].into());
    assert_eq!(laptop.device.as_deref(), Some("laptop"));
    assert_eq!(find("laptop+nvidia").profiles(), ["laptop", "nvidia"]);
    assert_eq!(laptop.power.lid.as_deref(), Some("suspend"));
    assert_eq!(vm.power.lid, None);
}

#[test]
fn recommends_that_a_profile_asks_for_are_not_shared() {
    let files = [
        ("hosts/h.toml", "device = \"auto\"\npackages = [\"konsole\", \"git\"]"),
        (
            "device/vm.toml",
            "imports = [\"builtin:device/vm\"]\nrecommends_of = [\"konsole\"]\n[match]\nvirtual = true\nrank = 30",
        ),
    ];
    for one in variants(&files) {
        assert!(one.host.packages.contains("git"));
        assert!(!one.host.packages.contains("konsole") && adds(&one.host, 0, "konsole"));
    }
}

#[test]
fn too_many_sets_are_an_error_that_says_to_pin() {
    let more = [AUTO, ("gpu/other.toml", "slot = \"gpu\"\n[match]\ngpu = \"1002:*\"\nrank = 10")];
    one_error(&more, &["12 sets", "laptop+other", "pin", "host add h --report"]);
    let kernels = [
        ("hosts/h.toml", "device = \"auto\""),
        (
            "device/vm.toml",
            "[match]\nvirtual = true\nrank = 30\n[kernel]\npackage = \"linux-image-cloud-amd64\"",
        ),
    ];
    one_error(&kernels, &["different kernels", "kernel.package"]);
}

#[test]
fn facts_pin_a_host_to_one_generation() {
    let laptop = r#"{"schema":1,"battery":true,"chassis":"notebook","hypervisor":null,"gpu":["10de:1eb8","8086:3e9b"]}"#;
    let pinned = [AUTO, ("facts/h.json", laptop)];
    assert!(sets(&pinned).is_empty());
    let host = host(&pinned);
    assert_eq!((host.device.as_deref(), host.gpu.as_deref()), (Some("laptop"), Some("nvidia")));
    assert!(host.packages.contains("firmware-nvidia-graphics"));
    one_error(
        &[("hosts/h.toml", "device = \"auto\""), ("facts/h.json", r#"{"schema":1,"chassis":"toaster"}"#)],
        &["fit no profile", "device"],
    );
}

#[test]
fn a_chip_is_off_only_where_a_host_says_so() {
    let host = host(&[("hosts/h.toml", "device = \"laptop\"\ngpu = \"nvidia-off\"")]);
    assert!(host.kernel.blacklist.contains("nouveau"));
    assert!(host.files.keys().any(|path| path.ends_with("nvidia-off.rules")));
    let other = [
        AUTO,
        (
            "gpu/nvidia-off.toml",
            "imports = [\"builtin:gpu/nvidia-off\"]\n[match]\ngpu = \"10de:*\"\nbattery = true\nrank = 20",
        ),
        ("device/server.toml", "slot = \"device\""),
    ];
    assert!(sets(&other).contains(&"laptop+nvidia-off".to_owned()), "a site may raise its rank");
}

#[test]
fn a_secret_of_a_profile_has_the_host_as_its_reader() {
    let files = [
        AUTO,
        (
            "gpu/nvidia.toml",
            "[match]\ngpu = \"10de:*\"\nrank = 10\n[secrets.k]\nfile = \"secrets/k.age\"\nexpose = true",
        ),
        ("secrets/k.age", ""),
        ("identities/h.pub", ""),
    ];
    assert_eq!(site(&files).secret_readers("k").into_iter().collect::<Vec<_>>(), ["h"]);
}

#[test]
fn a_profile_can_be_looked_at_before_there_is_a_machine() {
    let site = site(&[AUTO]);
    let pins = site.pins(&["laptop", "nvidia-off"]).unwrap();
    let host = site.resolve_with("h", Some(&pins)).unwrap().host;
    assert!(host.packages.contains("fprintd") && host.kernel.blacklist.contains("nouveau"));
    assert!(site.pins(&["lapotp"]).unwrap_err().contains("laptop"));
    assert!(site.pins(&["laptop", "vm"]).unwrap_err().contains("device"));
}

#[test]
fn the_installer_chooses_as_the_site_does() {
    let site = site(&[AUTO]);
    let slots = site.profiles("h");
    let sets =
        variants(&[AUTO]).into_iter().filter_map(|one| Some((one.host.variant?, String::new()))).collect();
    let variants = Variants { sets, slots };
    let texts = |key: &str, all: &[&str]| {
        let values = all.iter().map(|text| FactValue::Text((*text).to_owned())).collect();
        (key.to_owned(), values)
    };
    let machine = |chassis: &str, gpu: &[&str], flags: &[&str]| {
        let flags = flags.iter().map(|key| ((*key).to_owned(), vec![FactValue::Flag(true)]));
        let facts: FactMap = flags.chain([texts("chassis", &[chassis]), texts("gpu", gpu)]).collect();
        variants.choose(&facts).map(|fit| fit.set)
    };
    assert_eq!(machine("notebook", &["8086:3e9b"], &[]).as_deref(), Ok("laptop"));
    assert_eq!(machine("desktop", &["10de:1eb8"], &[]).as_deref(), Ok("desktop+nvidia"));
    assert_eq!(
        machine("notebook", &["8086:3e9b", "10de:1eb8"], &["battery"]).as_deref(),
        Ok("laptop+nvidia")
    );
    assert_eq!(machine("desktop", &["1234:1111"], &["virtual"]).as_deref(), Ok("vm"));
}
