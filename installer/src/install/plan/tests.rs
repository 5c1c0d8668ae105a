use super::*;
use landfall_hosts::manifest::{InstallSpec, LayerKind, LayerRef};

mod cross;

const GIB: u64 = 1 << 30;

fn disk(name: &str, size_gib: u64, transport: &str) -> Seen {
    Seen {
        disk: Disk {
            name: name.into(),
            path: format!("/dev/{name}").into(),
            size_bytes: size_gib * GIB,
            sector_bytes: 512,
            transport: transport.into(),
            serial: Some(format!("S-{name}")),
            ..Disk::default()
        },
        content: Content::Blank,
        is_medium: false,
        mounted: false,
    }
}

fn medium() -> Seen {
    Seen { is_medium: true, ..disk("sdz", 16, "usb") }
}

fn used() -> Content {
    Content::Used { what: "a GPT with 1 partition: Windows".into() }
}

/// A manifest of the host `vm` of site `s`.
pub(crate) fn manifest(rule: &str, existing: Existing) -> Manifest {
    let blob = landfall_hosts::manifest::BlobRef { name: "vmlinuz".into(), sha256: "0".into(), size: 1 };
    Manifest {
        format: 1,
        site: "s".into(),
        host: "vm".into(),
        profiles: vec![],
        serial: 1,
        kernel_release: "6".into(),
        cmdline: String::new(),
        site_commit: None,
        variants: None,
        epoch: 0,
        install: InstallSpec { disk: toml::from_str(rule).unwrap(), existing, ..InstallSpec::default() },
        kernel: blob,
        initrds: vec![],
        efi: vec![],
        bios: None,
        layers: vec![LayerRef { kind: LayerKind::Base, sha256: "0".into(), size: GIB }],
    }
}

fn slug(manifest: &Manifest, seen: &[Seen]) -> Result<String, &'static str> {
    let ask = Ask { manifest, seen, machine: &Machine::default(), picked: None };
    plan(&ask).map(|plan| plan.disk.name).map_err(|refusal| {
        assert!(!refusal.message.is_empty() && !refusal.remedy.is_empty());
        refusal.slug
    })
}

#[test]
fn the_one_disk_that_matches() {
    let wipe = manifest("transport = 'nvme'", Existing::Wipe);
    let seen = [medium(), disk("nvme0n1", 500, "nvme"), disk("sda", 2000, "sata")];
    assert_eq!(slug(&wipe, &seen), Ok("nvme0n1".into()));
}

#[test]
fn no_or_several_disks() {
    let nvme = manifest("transport = 'nvme'", Existing::Wipe);
    assert_eq!(slug(&nvme, &[medium(), disk("sda", 20, "sata")]), Err("no-disk-matches"));
    let two = [medium(), disk("nvme0n1", 500, "nvme"), disk("nvme1n1", 500, "nvme")];
    assert_eq!(slug(&nvme, &two), Err("several-disks-match"));
    let serial = manifest("serial = 'S-nvme1n1'", Existing::Wipe);
    assert_eq!(slug(&serial, &two), Ok("nvme1n1".into()));
    assert_eq!(slug(&manifest("", Existing::Wipe), &two), Err("no-disk-matches"));
}

#[test]
fn the_medium_is_never_the_target() {
    let any = manifest("size = '1G..'", Existing::Wipe);
    assert_eq!(slug(&any, &[medium()]), Err("only-the-medium"));
    let usb = manifest("transport = 'usb'", Existing::Wipe);
    assert_eq!(slug(&usb, &[medium()]), Err("only-the-medium"));
    assert_eq!(slug(&usb, &[medium(), disk("sda", 20, "sata")]), Err("only-the-medium"));
    assert_eq!(slug(&usb, &[medium(), disk("sdb", 20, "usb")]), Ok("sdb".into()));
    assert_eq!(slug(&any, &[]), Err("no-disk-matches"));
    let nvme = manifest("transport = 'nvme'", Existing::Wipe);
    assert_eq!(slug(&nvme, &[medium()]), Err("no-disk-matches"));
}

#[test]
fn relative_rules_look_at_targets_alone() {
    let smallest = manifest("smallest = true", Existing::Wipe);
    let seen = [medium(), disk("sda", 200, "sata"), disk("sdb", 100, "sata")];
    assert_eq!(slug(&smallest, &seen), Ok("sdb".into()));
    let tie = [disk("sda", 100, "sata"), disk("sdb", 100, "sata")];
    assert_eq!(slug(&smallest, &tie), Err("several-disks-match"));
}

#[test]
fn what_is_on_the_disk_decides() {
    let with = |content| [medium(), Seen { content, ..disk("vda", 20, "virtio") }];
    let refuse = manifest("transport = 'virtio'", Existing::Refuse);
    let wipe = manifest("transport = 'virtio'", Existing::Wipe);
    let id = || "0011223344556677".to_owned();
    assert_eq!(slug(&refuse, &with(Content::Blank)), Ok("vda".into()));
    assert_eq!(slug(&refuse, &with(Content::HalfInstalled { id: id() })), Ok("vda".into()));
    assert_eq!(slug(&refuse, &with(used())), Err("disk-not-empty"));
    assert_eq!(slug(&refuse, &with(Content::Machine { id: id(), systems: vec![] })), Err("disk-not-empty"));
    let broken = Content::Unreadable { why: "I/O error".into() };
    assert_eq!(slug(&refuse, &with(broken)), Err("disk-not-empty"));
    assert_eq!(slug(&wipe, &with(used())), Ok("vda".into()));
}

#[test]
fn disks_that_cannot_be_written() {
    let wipe = manifest("transport = 'virtio'", Existing::Wipe);
    let mut read_only = disk("vda", 20, "virtio");
    read_only.disk.read_only = true;
    assert_eq!(slug(&wipe, &[read_only.clone()]), Err("disk-read-only"));
    assert_eq!(slug(&wipe, &[read_only, disk("vdb", 20, "virtio")]), Ok("vdb".into()));
    let mounted = Seen { mounted: true, ..disk("vda", 20, "virtio") };
    assert_eq!(slug(&wipe, &[mounted]), Err("disk-in-use"));
    let mut member = disk("vda", 20, "virtio");
    member.disk.holders = vec!["md0".into()];
    assert_eq!(slug(&wipe, &[member]), Err("disk-in-use"));
}

#[test]
fn state_is_kept_where_there_is_some_and_never_taken_for_nothing() {
    let [machine, half] =
        [Content::Machine { id: "1".into(), systems: vec![] }, Content::HalfKept { id: "1".into() }];
    let nothing = [Content::Blank, Content::HalfInstalled { id: "1".into() }];
    let planned = |existing, content: &Content| {
        let seen = Seen { content: content.clone(), ..disk("vda", 20, "virtio") };
        slug(&manifest("transport = 'virtio'", existing), &[seen]).err()
    };
    for content in [&machine, &half, &nothing[0], &nothing[1]] {
        assert_eq!(planned(Existing::KeepState, content), None, "{content:?}");
        assert_eq!(planned(Existing::Wipe, content), None, "{content:?}");
    }
    assert_eq!(planned(Existing::KeepState, &used()), Some("nothing-to-keep"));
    assert_eq!(
        planned(Existing::KeepState, &Content::Unreadable { why: "x".into() }),
        Some("nothing-to-keep")
    );
    assert_eq!(planned(Existing::Refuse, &half), Some("disk-half-kept"));
    assert_eq!(planned(Existing::Refuse, &machine), Some("disk-not-empty"));
}

#[test]
fn sizes() {
    let wipe = manifest("transport = 'virtio'", Existing::Wipe);
    assert_eq!(slug(&wipe, &[disk("vda", 1, "virtio")]), Err("disk-too-small"));
    let mut large = wipe.clone();
    large.layers[0].size = 30 * GIB;
    assert_eq!(slug(&large, &[disk("vda", 20, "virtio")]), Err("disk-too-small"));
    large.layers[0].size = u64::MAX;
    assert_eq!(slug(&large, &[disk("vda", 20, "virtio")]), Err("disk-too-small"));
    let mut odd = disk("vda", 20, "virtio");
    odd.disk.sector_bytes = 520;
    assert_eq!(slug(&wipe, &[odd]), Err("sector-size"));
    let mut endless = disk("vda", 20, "virtio");
    endless.disk.size_bytes = u64::MAX;
    assert!(slug(&wipe, &[endless]).is_ok());
}

#[test]
fn swap_takes_room_and_hibernation_wants_secure_boot_off() {
    let planned = |swap: &str, machine: &Machine| {
        let mut manifest = manifest("transport = 'virtio'", Existing::Wipe);
        manifest.install.swap = swap.parse().unwrap();
        let seen = [disk("vda", 20, "virtio")];
        plan(&Ask { manifest: &manifest, seen: &seen, machine, picked: None })
            .map(|plan| plan.layout.swap.map_or(0, |swap| swap.len_bytes))
            .map_err(|refusal| refusal.slug)
    };
    let machine = |secure_boot| Machine { secure_boot, memory_bytes: 8 * GIB, ..Machine::default() };
    let off = machine(Some(false));
    for (swap, takes) in [("none", 0), ("zram", 0), ("file:4Gi", 0), ("partition:4Gi", 4 * GIB)] {
        assert_eq!(planned(swap, &off), Ok(takes), "{swap}");
        assert_eq!(planned(swap, &machine(Some(true))), Ok(takes), "{swap}");
    }
    assert_eq!(planned("partition:ram", &off), Ok(9 * GIB));
    assert_eq!(planned("partition:ram", &machine(None)), Ok(9 * GIB));
    assert_eq!(planned("partition:ram", &machine(Some(true))), Err("hibernation-secure-boot"));
    assert_eq!(planned("partition:ram", &Machine::default()), Err("memory-unknown"));
    for large in ["file:18Gi", "partition:18Gi", "partition:9T"] {
        assert_eq!(planned(large, &off), Err("disk-too-small"), "{large}");
    }
}
