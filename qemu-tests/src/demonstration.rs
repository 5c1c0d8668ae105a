//! What `cargo xtask run` shows: the example's machine from a folder of host files to the tailnet, and a table of
//! what was proved.

use crate::error::{Doing, Error, Result};
use crate::fixture::{Fixture, Phases};
use crate::guest::Guest;
use crate::probe;
use crate::rehearsal::Machine;
use crate::site::{HOST, PASSWORD, USER};
use crate::tools::{self, Need};
use std::collections::BTreeMap;
use std::net::TcpListener;

/// Runs it all; with `keep` the machine runs until Enter is pressed or the input ends.
pub fn run(keep: bool) -> Result<()> {
    tools::ensure(&[Need::Qemu])?;
    let parent = tools::target().join("qemu-run");
    std::fs::create_dir_all(&parent).doing("creating", &parent)?;
    let folder = tempfile::tempdir_in(&parent).doing("creating a folder in", &parent)?;
    let fixture = Fixture::make(folder.path(), &[HOST])?;
    let mut phases = Phases(fixture.phases.clone());
    let machine = Machine::new(&fixture, "run")?;
    let installed = phases.time("install", || machine.install())?;
    let port = free_port()?;
    let mut guest = phases.time("first boot", || machine.boot("boot", Some(port)))?;
    let node = phases.time("tailnet", || machine.wait_online())?;
    let said = phases.time("questions to the machine", || probe::ask(&mut guest, probe::EVERY_BOOT))?;
    let mut proved = proofs(&said);
    proved.insert(0, (format!("installed with nobody watching: {}", installed.line), true));
    match (&node, &fixture.no_tailnet) {
        (Some(node), _) => proved.push((format!("in the tailnet as {}, online", node.given_name), true)),
        (None, Some(why)) => println!("tailnet: not proved, {why}"),
        (None, None) => proved.push(("in the tailnet".into(), false)),
    }
    print(&proved, &phases.0);
    let key = fixture.site.ssh_key();
    let login =
        format!("ssh -p {port} -i {} -o UserKnownHostsFile=/dev/null {USER}@127.0.0.1", key.display());
    finish(guest, keep, &login)?;
    match proved.iter().find(|(_, true_of_it)| !true_of_it) {
        None => Ok(()),
        Some((what, _)) => Err(Error::Unexpected(format!("not proved: {what}"))),
    }
}

fn proofs(said: &BTreeMap<String, String>) -> Vec<(String, bool)> {
    let is = |name: &str, test: &dyn Fn(&str) -> bool| said.get(name).is_some_and(|text| test(text));
    let rows: [(&str, bool); 8] = [
        ("Secure Boot is on, asked from inside", is("secure-boot", &|text| text == "1")),
        ("the boot entry is blessed", is("entries", &|text| text.contains(".conf") && !text.contains('+'))),
        ("every unit runs", is("running", &|text| text == "running")),
        ("the root is an overlay of the layers", is("root", &|text| text.starts_with("overlay"))),
        ("secrets are in memory alone", is("secrets-fs", &|text| text == "ramfs")),
        ("the user's password opens the machine", is("password", &|text| text == USER)),
        ("the user's home is as declared", is("git", &|text| !text.is_empty() && !text.contains("[status"))),
        ("the identity is sealed", is("identity", &|text| text == "sealed")),
    ];
    rows.into_iter().map(|(what, proved)| (what.to_owned(), proved)).collect()
}

fn print(proved: &[(String, bool)], phases: &[(String, f64)]) {
    println!("\nproved");
    for (what, true_of_it) in proved {
        println!("  {}  {what}", if *true_of_it { "yes" } else { "NO " });
    }
    println!("\nseconds");
    for (name, seconds) in phases {
        println!("  {seconds:7.1}  {name}");
    }
    let total: f64 = phases.iter().map(|(_, seconds)| seconds).sum();
    println!("  {total:7.1}  in all\n");
}

fn finish(guest: Guest, keep: bool, login: &str) -> Result<()> {
    if !keep {
        println!("to log in, run it with --keep");
        return Ok(());
    }
    println!(
        "the machine runs; log in with\n  {login}\n(password on a console: {PASSWORD}); its console is in {}",
        guest.log().display()
    );
    println!("press Enter to end it");
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).doing("reading", std::path::Path::new("stdin"))?;
    if read == 0 {
        // Without a terminal there is nobody to press Enter: the machine runs until this program is ended.
        loop {
            std::thread::park();
        }
    }
    drop(guest);
    Ok(())
}

fn free_port() -> Result<u16> {
    let here = std::path::Path::new("127.0.0.1");
    let listener = TcpListener::bind(("127.0.0.1", 0)).doing("finding a free port on", here)?;
    Ok(listener.local_addr().doing("finding a free port on", here)?.port())
}
