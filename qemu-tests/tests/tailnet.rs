//! The loopback tailnet itself, without a guest.

use landfall_qemu_tests::process::{Daemon, run, run_with_input};
use landfall_qemu_tests::tailnet::{Headscale, Repository, missing_go, programs};
use landfall_qemu_tests::tools::{Need, ensure};
use std::process::Command;
use std::time::Duration;

#[test]
#[ignore = "builds Go programs: run by cargo xtask test"]
fn a_node_joins_the_loopback_tailnet() {
    if let Some(why) = missing_go() {
        eprintln!("tailnet: not proved, {why}");
        return;
    }
    let programs = programs().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let headscale =
        Headscale::start_as(&programs, &folder.path().join("hs"), "http://127.0.0.1:PORT").unwrap();
    let key = headscale.mint_key().unwrap();
    let socket = folder.path().join("ts.sock");
    let mut words =
        vec!["--tun=userspace-networking".into(), format!("--statedir={}", folder.path().display())];
    words.push(format!("--socket={}", socket.display()));
    words.push("--port=0".into());
    let daemon = programs.tailscale.join("tailscaled");
    let _daemon = Daemon::start(&daemon, &words, &folder.path().join("tailscaled.log")).unwrap();
    let mut up = Command::new(programs.tailscale.join("tailscale"));
    up.arg(format!("--socket={}", socket.display())).args(["up", "--timeout=60s", "--hostname=probe"]);
    up.arg(format!("--login-server=http://127.0.0.1:{}", headscale.port)).arg("--auth-key=file:/dev/stdin");
    run_with_input(&mut up, key.as_bytes()).unwrap();
    let node = headscale.wait_online("probe", Duration::from_secs(30)).unwrap();
    assert_eq!(node.name, "probe");
}

#[test]
#[ignore = "builds Go programs: run by cargo xtask test"]
fn the_repository_is_signed_and_holds_tailscale() {
    if missing_go().is_some() {
        return;
    }
    ensure(&[Need::Tailnet]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::start(&programs().unwrap(), folder.path()).unwrap();
    let home = tempfile::Builder::new().prefix("lf-gpg").tempdir().unwrap();
    let gpg = |words: &[&str]| {
        let mut command = Command::new("gpg");
        run(command.arg("--homedir").arg(home.path()).arg("--batch").args(words)).unwrap()
    };
    gpg(&["--import", repository.key().to_str().unwrap()]);
    let release = folder.path().join("dists/trixie/InRelease");
    gpg(&["--verify", release.to_str().unwrap()]);
}
