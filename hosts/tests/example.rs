//! The example site: what a person copies must be right.

use landfall_hosts::site::{self, Problem};
use std::path::Path;

fn example() -> site::Site {
    site::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("example")).expect("site.toml is read")
}

#[test]
fn the_example_has_no_error() {
    let problems = example().check();
    let errors: Vec<String> = problems.iter().filter(|p| p.is_error()).map(Problem::to_string).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn vm_is_what_its_files_say() {
    let host = example().resolve("vm").expect("vm resolves").host;
    assert_eq!(host.hostname, "vm");
    assert_eq!(host.device.as_deref(), Some("vm"));
    assert!(host.packages.contains("qemu-guest-agent"));
    assert!(host.packages.contains("neovim"));
    assert!(host.desktop_packages.is_empty());
    assert_eq!(host.kernel.params, ["console=tty0", "console=ttyS0,115200"]);
    assert_eq!(host.users["sam"].uid, 1000);
    assert_eq!(host.sources.apt["tailscale"].components, ["main"]);
}

#[test]
fn the_readers_of_a_secret_follow_from_use() {
    let site = example();
    let readers = |name: &str| site.secret_readers(name).into_iter().collect::<Vec<_>>();
    assert_eq!(readers("wifi-home"), ["laptop", "vm"]);
    assert_eq!(readers("sam-password"), ["laptop", "server", "vm"]);
}

#[test]
fn one_word_changes_the_desktop() {
    let laptop = example().resolve("laptop").expect("laptop resolves").host;
    assert!(laptop.desktop_packages.contains("sddm"));
    assert!(!laptop.desktop_packages.contains("chromium"));
    assert!(laptop.desktop_packages.contains("firefox-esr"));
    assert!(!laptop.packages.contains("firefox-esr"));
    assert!(laptop.packages.contains("hyprland/trixie-backports"));
}
