//! A whole medium from small parts, judged by sgdisk, fsck.vfat and e2fsck.
//!
//! It needs a tools root (its mke2fs fills the data partition): the folder that
//! `LANDFALL_TOOLS_ROOT` names, else the newest in the cache. Without one it says so and passes;
//! the tests of built images judge the same promises.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall::media::{
    Blob, EfiBlob, EfiFile, Grub, Identity, MediumHost, MediumSpec, Personal, Trees, compose, personalise,
};
use landfall_disk::{TableSeen, read_table};
use landfall_hosts::event::Silent;
use landfall_hosts::manifest::{BiosBoot, LayerKind, LayerRef, Manifest};
use landfall_hosts::medium::Unattended;
use sha2::{Digest, Sha256};

fn tools() -> Option<Trees> {
    let named = std::env::var_os("LANDFALL_TOOLS_ROOT").map(PathBuf::from);
    let root = named.or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        let entries = std::fs::read_dir(cache.join("landfall/tools")).ok()?;
        entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path().join("root")))
            .filter(|path| {
                path.join("usr/sbin/mke2fs").exists() && path.join("usr/bin/grub-mkimage").exists()
            })
            .max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok())
    });
    if root.is_none() {
        eprintln!("not tested: there is no tools root in the cache");
    }
    root.map(|root| Trees::new(vec![root]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn spec(dir: &Path) -> MediumSpec {
    let layer = dir.join("layer");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| ((i * 7) >> 3) as u8).collect();
    std::fs::write(&layer, &bytes).unwrap();
    let sha256 = hex(&Sha256::digest(&bytes));
    let program = dir.join("shim");
    std::fs::write(&program, b"MZ shim").unwrap();
    let efi = EfiBlob::read(&EfiFile { path: "EFI/BOOT/BOOTX64.EFI", file: program }).unwrap();
    let kernel = Blob::bytes("vmlinuz", vec![1; 100_000]);
    let initrd = Blob::bytes("initrd", vec![2; 100_000]);
    let manifest = Manifest {
        format: 1,
        site: "site".into(),
        host: "vm".into(),
        profiles: Vec::new(),
        serial: 7,
        kernel_release: "6.12".into(),
        cmdline: "panic=30".into(),
        site_commit: None,
        variants: None,
        epoch: 1_700_000_000,
        install: Default::default(),
        kernel: kernel.reference.clone(),
        initrds: vec![initrd.reference.clone()],
        efi: vec![efi.program.clone()],
        bios: None,
        layers: vec![LayerRef { kind: LayerKind::Base, sha256: sha256.clone(), size: bytes.len() as u64 }],
    };
    MediumSpec {
        site: "site".into(),
        hosts: vec![MediumHost {
            manifest_bytes: toml::to_string(&manifest).unwrap().into_bytes(),
            manifest,
            signature: Some(b"untrusted comment: x\n".to_vec()),
            variants: BTreeMap::new(),
        }],
        layers: BTreeMap::from([(sha256, layer)]),
        blobs: vec![kernel, initrd],
        efi: vec![efi],
        unattended: Some("vm".into()),
        epoch: 1_700_000_000,
    }
}

fn add_grub(spec: &mut MediumSpec, tools: &Trees) {
    let Grub { boot, core } = Grub::make(tools).unwrap();
    let host = &mut spec.hosts[0];
    host.manifest.bios = Some(BiosBoot { boot: boot.reference.clone(), core: core.reference.clone() });
    host.manifest_bytes = toml::to_string(&host.manifest).unwrap().into_bytes();
    spec.blobs.extend([boot, core]);
}

/// Runs a judge; where this computer lacks it, says so.
fn judge(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    let Ok(output) = output else {
        eprintln!("not judged: there is no {program}");
        return String::new();
    };
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

/// Copies partition `number` of an image into a file of its own.
fn slice(image: &Path, number: u32) -> PathBuf {
    let mut file = File::open(image).unwrap();
    let TableSeen::Gpt(gpt) = read_table(&mut file, 512).unwrap() else { panic!("no GPT") };
    let entry = gpt.entries.iter().find(|entry| entry.number == number).unwrap();
    let mut bytes = vec![0; ((entry.last_lba - entry.first_lba + 1) * 512) as usize];
    file.seek(SeekFrom::Start(entry.first_lba * 512)).unwrap();
    file.read_exact(&mut bytes).unwrap();
    let out = image.with_extension(format!("p{number}"));
    std::fs::write(&out, bytes).unwrap();
    out
}

fn is_clean(image: &Path) {
    judge("sgdisk", &["-v", image.to_str().unwrap()]);
    judge("fsck.vfat", &["-n", slice(image, 2).to_str().unwrap()]);
    judge("e2fsck", &["-fn", slice(image, 3).to_str().unwrap()]);
}

#[test]
fn a_medium_is_clean_and_the_same_twice_and_keeps_its_place_when_personalised() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path());
    add_grub(&mut spec, &tools);
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    compose(&spec, &tools, &one, &Silent).unwrap();
    compose(&spec, &tools, &two, &Silent).unwrap();
    let before = std::fs::read(&one).unwrap();
    assert!(before == std::fs::read(&two).unwrap());
    assert!(before[..2] == [0xeb, 0x63] && before[1 << 20..][..512].iter().any(|byte| *byte != 0));
    is_clean(&one);

    let unattended = Unattended {
        format: 1,
        install_id: "0123456789abcdef".into(),
        host: Some("vm".into()),
        state: "pending".into(),
        ..Default::default()
    };
    let put = |identity| {
        let identities = BTreeMap::from([("vm", identity)]);
        personalise(&one, &tools, &Personal { unattended: &unattended, identities }).unwrap();
    };
    put(Identity::Bare("MARKED-IDENTITY\n"));
    is_clean(&one);
    let after = std::fs::read(&one).unwrap();
    let changed = before.chunks(4096).zip(after.chunks(4096)).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 2, "the mark and the bare identity");
    let text = judge("debugfs", &["-R", "cat landfall/identities/vm.key", slice(&one, 3).to_str().unwrap()]);
    assert!(text.is_empty() || text.contains("MARKED-IDENTITY"), "{text}");

    // Another identity leaves nothing of the first.
    put(Identity::Wrapped(b"age-encryption.org/v1\n"));
    let last = std::fs::read(&one).unwrap();
    assert!(!last.windows(15).any(|bytes| bytes == b"MARKED-IDENTITY"));
    put(Identity::Absent);
    let blank = std::fs::read(&one).unwrap();
    let changed = before.chunks(4096).zip(blank.chunks(4096)).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 1, "only the mark");
}

/// An older image that is brought up to date is the one that would have been written anew.
#[test]
fn a_rebuild_in_place_gives_the_bytes_of_a_fresh_build() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path());
    add_layer(&mut spec, dir.path(), LayerKind::Host, 100_000);
    let [used, fresh] = ["used", "fresh"].map(|name| dir.path().join(name));
    compose(&spec, &tools, &used, &Silent).unwrap();
    if rustix::fs::getxattr(&used, "user.landfall.medium", &mut [0u8; 4096][..]).is_err() {
        return eprintln!("not tested: the temporary folder keeps no extended attributes");
    }
    let unattended = Unattended { format: 1, install_id: "0123456789abcdef".into(), ..Default::default() };
    let identities = BTreeMap::from([("vm", Identity::Bare("MARKED-IDENTITY\n"))]);
    personalise(&used, &tools, &Personal { unattended: &unattended, identities }).unwrap();

    // The base stays, the host's layer is another and larger, and one blob changes.
    let host = spec.hosts[0].manifest.layers.pop().unwrap();
    spec.layers.remove(&host.sha256);
    add_layer(&mut spec, dir.path(), LayerKind::Host, 3_100_000);
    let initrd = Blob::bytes("initrd", vec![9; 50_000]);
    spec.hosts[0].manifest.initrds = vec![initrd.reference.clone()];
    spec.blobs[1] = initrd;
    // Only an image that gives its base can be brought up to date without this file.
    let base = spec.layers[&spec.hosts[0].manifest.layers[0].sha256].clone();
    compose(&spec, &tools, &fresh, &Silent).unwrap();
    let aside = dir.path().join("aside");
    let len = base.metadata().unwrap().len();
    std::fs::rename(&base, &aside).unwrap();
    File::create(&base).unwrap().set_len(len).unwrap();
    compose(&spec, &tools, &used, &Silent).unwrap();
    assert!(std::fs::read(&used).unwrap() == std::fs::read(&fresh).unwrap());
    is_clean(&used);

    // An image that somebody wrote to is not believed.
    let file = File::options().write(true).open(&used).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let error = compose(&spec, &tools, &used, &Silent).unwrap_err().to_string();
    assert!(error.contains("sha256"), "{error}");
    std::fs::rename(&aside, &base).unwrap();
    compose(&spec, &tools, &used, &Silent).unwrap();
    assert!(std::fs::read(&used).unwrap() == std::fs::read(&fresh).unwrap());
}

fn add_layer(spec: &mut MediumSpec, dir: &Path, kind: LayerKind, size: u64) {
    let path = dir.join(format!("layer-{kind:?}-{size}"));
    let bytes: Vec<u8> = (0..size).map(|i| ((i * 13) >> 2) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let sha256 = hex(&Sha256::digest(&bytes));
    spec.layers.insert(sha256.clone(), path);
    spec.hosts[0].manifest.layers.push(LayerRef { kind, sha256, size });
    spec.hosts[0].manifest_bytes = toml::to_string(&spec.hosts[0].manifest).unwrap().into_bytes();
}

#[test]
fn a_layer_that_is_not_what_its_name_says_stops_the_medium() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path());
    let path = spec.layers.values().next().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let out = dir.path().join("out");
    let error = compose(&spec, &tools, &out, &Silent).unwrap_err().to_string();
    assert!(error.contains("sha256") && error.contains("remove it"), "{error}");
    assert!(!out.exists());
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 2, "no half image stays");
}

#[test]
fn a_part_that_a_manifest_names_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let tools = Trees::new(vec![dir.path().to_owned()]);
    let out = dir.path().join("out");
    let mut without = spec(dir.path());
    without.blobs.clear();
    let error = compose(&without, &tools, &out, &Silent).unwrap_err().to_string();
    assert!(error.contains("vmlinuz of vm") || error.contains("initrd of vm"), "{error}");
    let mut stranger = spec(dir.path());
    stranger.unattended = Some("nobody".into());
    let error = compose(&stranger, &tools, &out, &Silent).unwrap_err().to_string();
    assert!(error.contains("nobody"), "{error}");
}
