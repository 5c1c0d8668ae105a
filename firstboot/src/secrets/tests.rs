//! The whole run under a root of a test's own.

use super::*;
use crate::tools::fake::FakeCommands;
use age::secrecy::ExposeSecret;
use landfall_hosts::machine::{MachineUser, Template};
use std::os::unix::fs::PermissionsExt;

const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq";

struct World {
    _dir: tempfile::TempDir,
    roots: Roots,
    key: age::x25519::Identity,
    machine: Machine,
    owner: u32,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        let folders = [
            roots.etc(""),
            roots.state(""),
            roots.ciphertext("x").parent().unwrap().to_owned(),
            roots.secrets().parent().unwrap().to_owned(),
        ];
        for folder in folders {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(roots.etc("shadow"), "root:*:1::::::\nsam:!:1::::::\n").unwrap();
        let key = age::x25519::Identity::generate();
        fs::write(roots.identity_bare(), key.to_string().expose_secret()).unwrap();
        let owner = rustix::process::getuid().as_raw();
        let mut world = Self { _dir: dir, roots, key, machine: Machine::default(), owner };
        world.machine.users.insert("sam".into(), MachineUser { uid: 1000, password: Some("pass".into()) });
        world.secret("pass", HASH);
        world.secret("token", "s3cret\n");
        world
    }

    fn secret(&mut self, name: &str, text: &str) {
        let bytes = age::encrypt(&self.key.to_public(), text.as_bytes()).unwrap();
        fs::write(self.roots.ciphertext(name), bytes).unwrap();
        let declared = MachineSecret {
            owner: self.owner.to_string(),
            group: rustix::process::getgid().as_raw().to_string(),
            mode: "0440".into(),
            link: Some("/etc/app/token".into()),
            restart: vec!["app.service".into()],
        };
        self.machine.secrets.insert(name.into(), declared);
    }

    fn run(&self, commands: &FakeCommands) -> Status {
        let store = store::fake::Folder(self.roots.run("new-secrets"));
        Job { roots: &self.roots, machine: &self.machine, commands, store: &store }.run()
    }

    fn shadow(&self) -> String {
        fs::read_to_string(self.roots.etc("shadow")).unwrap()
    }
}

#[test]
fn a_whole_run_places_secrets_links_and_passwords() {
    let world = World::new();
    let status = world.run(&FakeCommands::default());
    assert!(status.is_good(), "{status:?}");
    let file = world.roots.secrets().join("token");
    assert_eq!(fs::read(&file).unwrap(), b"s3cret\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o440);
    let link = fs::read_link(world.roots.etc("app/token")).unwrap();
    assert!(link.starts_with("/run/secrets"));
    assert!(world.shadow().contains(&format!("sam:{HASH}:1")));
    assert_eq!(super::status(&world.roots), Some(status));
}

#[test]
fn the_last_good_password_comes_back_without_an_identity() {
    let world = World::new();
    world.run(&FakeCommands::default());
    fs::write(world.roots.etc("shadow"), "root:*:1::::::\nsam:!:1::::::\n").unwrap();
    fs::remove_file(world.roots.identity_bare()).unwrap();
    let status = world.run(&FakeCommands::default());
    assert_eq!(status.waiting.as_deref(), Some("waiting for an identity"));
    assert!(world.shadow().contains(HASH));
}

#[test]
fn a_password_that_is_no_hash_is_refused_and_the_last_good_one_stays() {
    let mut world = World::new();
    world.run(&FakeCommands::default());
    world.secret("pass", "hunter2");
    let status = world.run(&FakeCommands::default());
    assert!(!status.is_good());
    assert!(world.shadow().contains(HASH) && !world.shadow().contains("hunter2"));
    assert!(!format!("{status:?}").contains("hunter2"));
}

#[test]
fn a_secret_that_is_damaged_keeps_its_last_value_and_the_others_come() {
    let mut world = World::new();
    world.run(&FakeCommands::default());
    fs::write(world.roots.ciphertext("token"), b"damaged").unwrap();
    world.secret("more", "new");
    let status = world.run(&FakeCommands::default());
    assert_eq!(status.problems.len(), 1);
    assert_eq!(fs::read(world.roots.secrets().join("token")).unwrap(), b"s3cret\n");
    assert_eq!(fs::read(world.roots.secrets().join("more")).unwrap(), b"new");
}

#[test]
fn units_restart_when_their_secret_changed_and_only_then() {
    let mut world = World::new();
    let commands = FakeCommands::default().answer("systemctl", 0, "");
    world.run(&commands);
    world.run(&commands);
    assert!(!commands.called("systemctl"));
    world.secret("token", "other");
    world.run(&commands);
    assert!(commands.called("systemctl try-restart --no-block -- app.service"));
}

#[test]
fn templates_off_the_memory_are_links_into_it() {
    let mut world = World::new();
    for path in ["/etc/app.conf", "/opt/app/app.conf"] {
        let template = Template {
            text: "key=${secret:token}\n".into(),
            owner: world.owner.to_string(),
            group: rustix::process::getgid().as_raw().to_string(),
            mode: "0640".into(),
        };
        world.machine.templates.insert(path.into(), template);
    }
    let status = world.run(&FakeCommands::default());
    assert!(status.is_good(), "{status:?}");
    assert_eq!(fs::read(world.roots.etc("app.conf")).unwrap(), b"key=s3cret\n");
    let link = fs::read_link(world.roots.path("/opt/app/app.conf")).unwrap();
    assert_eq!(link, Path::new("/run/secrets/.templates/opt_sapp_sapp.conf"));
    assert_eq!(fs::read(world.roots.path(link)).unwrap(), b"key=s3cret\n");
}

#[test]
fn an_owner_who_is_not_there_is_named() {
    let mut world = World::new();
    if let Some(declared) = world.machine.secrets.get_mut("token") {
        declared.owner = "ghost".into();
    }
    let status = world.run(&FakeCommands::default());
    assert!(status.problems.iter().any(|problem| problem.contains("ghost")));
}
