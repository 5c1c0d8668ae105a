use super::*;
use landfall_probe::Partition;

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn disk(name: &str, partitions: &[&str]) -> Disk {
    let partitions = partitions.iter().map(|name| Partition { name: (*name).into(), ..Partition::default() });
    Disk { name: name.into(), partitions: partitions.collect(), ..Disk::default() }
}

/// (use of the disk, system) of each disk under a mountinfo.
fn found(root: &Path, mountinfo: &str, disks: &[Disk]) -> BTreeMap<String, Vec<(String, bool)>> {
    put(root, "proc/self/mountinfo", mountinfo);
    let words = |set: BTreeSet<Use>| set.into_iter().map(|used| (used.what, used.system)).collect();
    uses(&Roots::under(root), disks).into_iter().map(|(name, set)| (name, words(set))).collect()
}

#[test]
fn partitions_mappings_and_arrays_lead_to_their_disks() {
    let top = tempfile::tempdir().unwrap();
    for (name, number) in
        [("sda", "8:0"), ("sda2", "8:2"), ("dm-0", "253:0"), ("md0", "9:0"), ("dm-1", "253:1")]
    {
        put(top.path(), &format!("sys/class/block/{name}/dev"), &format!("{number}\n"));
    }
    put(top.path(), "sys/class/block/dm-0/slaves/md0", "");
    put(top.path(), "sys/class/block/md0/slaves/sda2", "");
    put(top.path(), "sys/class/block/md0/slaves/sdb", "");
    put(top.path(), "sys/class/block/dm-1/slaves/dm-1", "");
    let disks = [disk("sda", &["sda1", "sda2"]), disk("sdb", &[]), disk("sdc", &["sdc1"])];
    let text = "1 0 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw\n\
                2 1 253:1 / /circle rw - ext4 /dev/mapper/circle rw\n\
                3 1 0:20 / /proc rw - proc proc rw\nbroken\n";
    let found = found(top.path(), text, &disks);
    assert_eq!(found.len(), 2);
    assert_eq!(found["sda"], [("mounted at /".to_owned(), true)]);
    assert_eq!(found["sdb"], found["sda"]);
}

#[test]
fn btrfs_overlays_loops_and_swap_files_lead_to_their_disks() {
    let top = tempfile::tempdir().unwrap();
    put(top.path(), "sys/class/block/sdb1/dev", "8:17\n");
    put(top.path(), "sys/class/block/loop0/dev", "7:0\n");
    put(top.path(), "sys/class/block/loop0/loop/backing_file", "/run/a stick/live.img\n");
    put(top.path(), "dev/sda1", "");
    put(top.path(), "proc/swaps", "Filename Type Size Used Priority\n/data/swap\\040file file 1 0 -2\n");
    let disks = [disk("sda", &["sda1"]), disk("sdb", &["sdb1"]), disk("sdc", &[])];
    let text = "1 0 0:30 /root /data rw - btrfs /dev/sda1 rw,subvol=/root\n\
                2 0 8:17 / /run/a\\040stick ro - iso9660 /dev/sdb1 ro\n\
                3 0 7:0 / /run/rootfs ro - squashfs /dev/loop0 ro\n\
                4 0 0:31 / / rw - overlay overlay rw,lowerdir=/run/rootfs,upperdir=/up,workdir=/w\n";
    let found = found(top.path(), text, &disks);
    let has = |name: &str, what: &str, system| found[name].contains(&(what.to_owned(), system));
    assert!(has("sda", "mounted at /data", false) && has("sda", "swap", true));
    assert!(has("sdb", "mounted at /run/a stick", false));
    assert!(has("sdb", "mounted at /run/rootfs", false));
    assert!(has("sdb", "mounted at /", true), "{found:?}");
    assert!(!found.contains_key("sdc"));
}

#[test]
fn hostile_lines_do_no_harm() {
    let top = tempfile::tempdir().unwrap();
    let lines = [
        "",
        " - ",
        "1 2 3",
        "1 0 8:1 / /a\\",
        "1 0 8:1 / /a\\9 - x",
        "1 0 8:1 / / - overlay overlay lowerdir=/",
        "1 0 0:1 / / - overlay / lowerdir=/:/,upperdir=/",
    ];
    assert!(found(top.path(), &lines.join("\n"), &[disk("sda", &[])]).is_empty());
    assert_eq!(unescape("/a\\040b\\134c\\"), PathBuf::from("/a b\\c\\"));
}
