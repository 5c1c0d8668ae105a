use super::*;
use landfall_hosts::host::{File, Unit, User};
use std::fs;
use std::os::unix::fs::symlink;

/// A small root that has what a host layer asks of the layers below.
fn below() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let place = root.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    };
    put("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
    put("etc/group", "root:x:0:\nshadow:x:42:\nsudo:x:27:\n");
    put("etc/shadow", "root:*:1:0:99999:7:::\n");
    put("etc/gshadow", "root:*::\nshadow:*::\nsudo:*::\n");
    put("usr/bin/bash", "");
    put("usr/share/zoneinfo/Europe/London", "");
    let unit = "[Install]\nWantedBy=multi-user.target\n";
    put("usr/lib/systemd/system/NetworkManager.service", unit);
    put("usr/lib/systemd/system/nftables.service", "[Install]\nWantedBy=sysinit.target\n");
    put("usr/lib/systemd/system/ssh.service", "[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n");
    put("usr/lib/systemd/system/cups.service", "[Install]\nWantedBy=multi-user.target\nAlso=cups.socket\n");
    put("usr/lib/systemd/system/cups.socket", "[Install]\nWantedBy=sockets.target\n");
    put("machine-binary", "elf");
    put("etc/systemd/system/multi-user.target.wants/.keep", "");
    let link = |target: &str, path: &str| symlink(target, root.path().join(path)).unwrap();
    link("usr/bin", "bin");
    link("/usr/lib/systemd/system/cups.service", "etc/systemd/system/multi-user.target.wants/cups.service");
    root
}

fn spec(root: &std::path::Path) -> HostSpec {
    let mut host = Host { name: "vm".into(), hostname: "vm".into(), ..Host::default() };
    host.locale.timezone = "Europe/London".into();
    host.users.insert(
        "sam".into(),
        User {
            uid: 1001,
            full_name: "Sam".into(),
            groups: ["sudo".to_owned()].into(),
            ssh_keys: ["ssh-ed25519 AAAA sam".to_owned()].into(),
            ..User::default()
        },
    );
    HostSpec {
        host,
        site: root.to_owned(),
        epoch: 86400 * 10,
        mirror: "http://ftp.uk.debian.org/debian".into(),
        machine_binary: root.join("machine-binary"),
        ..HostSpec::default()
    }
}

fn text(tree: &MemTree, path: &str) -> String {
    String::from_utf8(tree.read(path).unwrap_or_else(|| panic!("no {path}")).to_vec()).unwrap()
}

fn build(spec: &HostSpec, root: &std::path::Path) -> Result<MemTree> {
    host_tree(spec, &Merged::new(vec![root.to_owned()]))
}

#[test]
fn users_are_locked_and_have_their_ids() {
    let root = below();
    let tree = build(&spec(root.path()), root.path()).unwrap();
    assert!(text(&tree, "/etc/passwd").ends_with("sam:x:1001:1001:Sam:/home/sam:/bin/bash\n"));
    assert!(text(&tree, "/etc/shadow").ends_with("sam:!*:10:0:99999:7:::\n"));
    assert!(text(&tree, "/etc/group").contains("sudo:x:27:sam\n"));
    assert!(text(&tree, "/etc/gshadow").contains("sudo:*::sam\n"));
    assert_eq!(text(&tree, "/etc/subuid"), "sam:165536:65536\n");
    assert_eq!(text(&tree, "/etc/ssh/authorized_keys.d/sam"), "ssh-ed25519 AAAA sam\n");
    let shadow = tree.entries().into_iter().find(|entry| entry.path == b"etc/shadow").unwrap();
    assert_eq!((shadow.uid, shadow.gid, shadow.mode), (0, 42, 0o640));
}

#[test]
fn a_user_takes_no_group_over() {
    let root = below();
    let mut spec = spec(root.path());
    spec.host.users.insert("sudo".into(), User { uid: 1002, ..User::default() });
    let error = build(&spec, root.path()).err().unwrap().to_string();
    assert!(error.contains("user sudo"), "{error}");
}

#[test]
fn units_are_enabled_disabled_and_masked() {
    let root = below();
    let mut spec = spec(root.path());
    spec.host.services.enable.insert("ssh".into());
    spec.host.services.disable.insert("cups".into());
    spec.host.services.mask.insert("apt-daily.timer".into());
    let unit =
        Unit { text: Some("[Install]\nRequiredBy=x.target\n".into()), enable: true, ..Unit::default() };
    spec.host.units.insert("own".into(), unit);
    let tree = build(&spec, root.path()).unwrap();
    let kinds: BTreeMap<String, crate::tree::Kind> = tree
        .entries()
        .into_iter()
        .map(|entry| (String::from_utf8(entry.path).unwrap(), entry.kind))
        .collect();
    let link = |target: &str| crate::tree::Kind::Symlink(target.into());
    let at = |path: &str| kinds.get(&format!("etc/systemd/system/{path}")).cloned();
    assert_eq!(at("multi-user.target.wants/ssh.service"), Some(link("/usr/lib/systemd/system/ssh.service")));
    assert_eq!(at("sshd.service"), Some(link("/usr/lib/systemd/system/ssh.service")));
    assert_eq!(at("multi-user.target.wants/cups.service"), Some(crate::tree::Kind::Character(0, 0)));
    assert_eq!(at("apt-daily.timer"), Some(link("/dev/null")));
    assert_eq!(at("x.target.requires/own.service"), Some(link("/etc/systemd/system/own.service")));
    assert_eq!(
        at("sysinit.target.wants/nftables.service"),
        Some(link("/usr/lib/systemd/system/nftables.service"))
    );
    spec.host.services.enable.insert("sshh".into());
    let error = build(&spec, root.path()).unwrap_err().to_string();
    assert!(error.contains("sshh.service"), "{error}");
}

#[test]
fn files_of_the_site_and_what_is_refused() {
    let root = below();
    let mut spec = spec(root.path());
    let text_file = |text: &str| File { text: Some(text.into()), ..File::default() };
    spec.host.files.insert("/etc/x".into(), File { owner: Some("sam".into()), ..text_file("hello") });
    spec.host.files.insert("/etc/t".into(), File { template: Some("${secret:a}".into()), ..File::default() });
    let tree = build(&spec, root.path()).unwrap();
    let entry = tree.entries().into_iter().find(|entry| entry.path == b"etc/x").unwrap();
    assert_eq!((entry.uid, entry.mode), (1001, 0o644));
    assert!(!tree.contains("/etc/t"));
    for (path, file, word) in [
        ("etc/relative", text_file(""), "absolute"),
        ("/etc/../x", text_file(""), "absolute"),
        ("/etc/y", File { owner: Some("nobody-here".into()), ..text_file("") }, "nobody-here"),
        ("/etc/y", File { source: Some("../outside".into()), ..File::default() }, "out of the site"),
        ("/etc/y", File { mode: Some("9".into()), ..text_file("") }, "octal"),
    ] {
        let mut spec = spec.clone();
        spec.host.files.insert(path.into(), file);
        let error = build(&spec, root.path()).unwrap_err().to_string();
        assert!(error.contains(word), "{path}: {error}");
    }
}

#[test]
fn our_own_units_are_there() {
    let root = below();
    let tree = build(&spec(root.path()), root.path()).unwrap();
    assert!(tree.contains("/usr/lib/systemd/system/multi-user.target.wants/landfall-firstboot.service"));
    assert!(tree.contains("/usr/lib/landfall/machine.toml"));
    assert!(tree.contains("/etc/.updated"));
}

#[test]
fn files_are_taken_over_with_their_being_programs_or_not() {
    let root = below();
    let mut spec = spec(root.path());
    let program = root.path().join("program");
    fs::write(&program, "elf").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o775)).unwrap();
    spec.taken.insert("/usr/lib/systemd/system-generators/x".into(), program);
    spec.taken.insert("/usr/lib/systemd/system/x.service".into(), root.path().join("etc/group"));
    let tree = host_tree(&spec, &Merged::new(vec![root.path().to_owned()])).unwrap();
    assert_eq!(text(&tree, "/usr/lib/systemd/system-generators/x"), "elf");
    assert!(text(&tree, "/usr/lib/systemd/system/x.service").starts_with("root:"));
    spec.taken.insert("/usr/x".into(), root.path().join("not-there"));
    assert!(host_tree(&spec, &Merged::new(vec![root.path().to_owned()])).is_err());
}

#[test]
fn apt_on_the_machine_heeds_the_sites_pins() {
    let root = below();
    let mut spec = spec(root.path());
    spec.host.sources.suite = "trixie".into();
    spec.host.sources.extra_suites = vec!["trixie-backports".into()];
    spec.host.sources.pin.insert("git".into(), "1:2.47*".into());
    let tree = build(&spec, root.path()).unwrap();
    let pins = text(&tree, "/etc/apt/preferences.d/landfall");
    assert!(pins.contains("Pin: release n=trixie-backports\nPin-Priority: 100\n"), "{pins}");
    assert!(pins.contains("Package: git\nPin: version 1:2.47*\n"), "{pins}");
    assert!(
        text(&tree, "/etc/apt/sources.list.d/debian.sources")
            .contains("Suites: trixie trixie-updates trixie-backports\n")
    );
}
