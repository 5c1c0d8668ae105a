//! Whole images, judged by the tools that judge everybody's: sgdisk and fsck.vfat, and by `fatfs`.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use landfall_disk::{
    EspTree, Guids, InstallId, Layout, MIB, Marker, Old, Phase, Source, TableSeen, read_table, set_marker,
    types, write_esp, write_new,
};

fn marker(phase: Phase) -> Marker {
    Marker { phase, id: InstallId(*b"\x01\x23\x45\x67\x89\xab\xcd\xef") }
}

/// Runs a judge and returns its output; `None`, said aloud, where this computer lacks it.
fn judge(program: &str, args: &[&str]) -> Option<String> {
    match Command::new(program).args(args).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {args:?}: {text}");
            Some(text)
        }
        Err(error) => {
            eprintln!("not judged by {program}: {error}");
            None
        }
    }
}

fn image(dir: &Path, name: &str, bytes: u64) -> (std::path::PathBuf, File) {
    let path = dir.join(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(bytes).unwrap();
    (path, file)
}

fn esp_tree() -> EspTree {
    let mut tree = EspTree { volume_id: 0x1234_abcd, folders: vec!["reports".into()], ..EspTree::default() };
    tree.add("EFI/BOOT/BOOTX64.EFI", Source::Bytes(vec![0x4d; 1_000_000]));
    tree.add("loader/loader.conf", Source::Bytes(b"editor no\n".to_vec()));
    tree.add("loader/entries/landfall-1+3.conf", Source::Bytes(b"title x\n".to_vec()));
    let name = "0123456789abcdef".repeat(4);
    tree.add(format!("landfall/{name}/vmlinuz"), Source::Bytes((0..3_000_000u32).map(|i| i as u8).collect()));
    tree
}

fn build(path_dir: &Path, name: &str) -> (std::path::PathBuf, Layout) {
    let layout = Layout::medium(0, 5 * MIB);
    let (path, mut file) = image(path_dir, name, layout.disk_bytes);
    let guids = Guids::derived(b"seed");
    write_new(&mut file, &layout, &guids, types::MEDIUM_NAME, Old::Zeroes).unwrap();
    write_esp(&file, layout.esp, 512, &esp_tree()).unwrap();
    (path, layout)
}

fn slice(path: &Path, at: landfall_disk::Extent, to: &Path) {
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(at.start_bytes)).unwrap();
    let mut bytes = vec![0; at.len_bytes as usize];
    file.read_exact(&mut bytes).unwrap();
    std::fs::write(to, bytes).unwrap();
}

#[test]
fn an_image_is_clean_and_the_same_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (one, layout) = build(dir.path(), "one");
    let (two, _) = build(dir.path(), "two");
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&two).unwrap());

    if let Some(text) = judge("sgdisk", &["-v", one.to_str().unwrap()]) {
        assert!(text.contains("No problems found"), "{text}");
    }
    let esp = dir.path().join("esp");
    slice(&one, layout.esp, &esp);
    if let Some(text) = judge("fsck.vfat", &["-n", "-v", esp.to_str().unwrap()]) {
        assert!(!text.to_lowercase().contains("dirty"), "{text}");
    }
}

#[test]
fn a_second_driver_reads_the_esp() {
    let dir = tempfile::tempdir().unwrap();
    let (path, layout) = build(dir.path(), "image");
    let esp = dir.path().join("esp");
    slice(&path, layout.esp, &esp);
    let fs = fatfs::FileSystem::new(File::open(&esp).unwrap(), fatfs::FsOptions::new()).unwrap();
    assert_eq!(fs.volume_label(), "LANDFALL");
    assert_eq!(fs.volume_id(), 0x1234_abcd);
    let root = fs.root_dir();
    root.open_dir("reports").unwrap();
    let mut text = String::new();
    let mut conf = root.open_file("loader/loader.conf").unwrap();
    conf.read_to_string(&mut text).unwrap();
    assert_eq!(text, "editor no\n");
    let mut kernel = Vec::new();
    let name = format!("landfall/{}/vmlinuz", "0123456789abcdef".repeat(4));
    let mut file = root.open_file(&name).unwrap();
    file.read_to_end(&mut kernel).unwrap();
    assert_eq!(kernel.len(), 3_000_000);
    assert!(kernel.iter().enumerate().all(|(i, b)| *b == i as u8));
}

/// A machine's disk of both sector sizes: written over garbage, marked, read back, judged.
#[test]
fn a_machine_is_marked_installing_then_done() {
    let dir = tempfile::tempdir().unwrap();
    for sector in [512u32, 4096] {
        let bytes = 8 * 1024 * MIB;
        let (path, mut file) = image(dir.path(), &format!("disk{sector}"), bytes);
        file.write_all(&[0xa5; 100_000]).unwrap();
        let layout = Layout::machine(bytes, sector).unwrap().with_swap(1024 * MIB).unwrap();
        let guids = Guids::random([[1; 16], [2; 16], [3; 16], [4; 16], [5; 16]]);
        let name = marker(Phase::Installing).to_string();
        write_new(&mut file, &layout, &guids, &name, Old::Unknown).unwrap();
        set_marker(&mut file, sector, &marker(Phase::Done)).unwrap();
        let TableSeen::Gpt(gpt) = read_table(&mut file, sector).unwrap() else { panic!("no GPT") };
        assert!(!gpt.from_backup);
        assert_eq!(gpt.disk_guid, guids.disk);
        assert_eq!(gpt.entries.len(), 4);
        assert_eq!(gpt.entries[0].name, marker(Phase::Done).to_string());
        assert_eq!(gpt.entries[2].guid, guids.data);
        assert_eq!(gpt.entries[2].first_lba * u64::from(sector), layout.data.start_bytes);
        if sector == 512
            && let Some(text) = judge("sgdisk", &["-v", path.to_str().unwrap()])
        {
            assert!(text.contains("No problems found"), "{text}");
        }
    }
}

/// Cuts the power after every write: what is left is always one of the two tables, whole.
#[test]
fn a_power_cut_leaves_the_old_or_the_new_marker() {
    let bytes = 4 * 1024 * 1024usize * 16;
    let layout = Layout::medium(0, MIB);
    let mut disk = Cursor::new(vec![0u8; bytes.max(layout.disk_bytes as usize)]);
    disk.get_mut().truncate(layout.disk_bytes as usize);
    let old = marker(Phase::Installing).to_string();
    write_new(&mut disk, &layout, &Guids::derived(b"x"), &old, Old::Zeroes).unwrap();
    let before = disk.get_ref().clone();
    let mut after = Cursor::new(before.clone());
    set_marker(&mut after, 512, &marker(Phase::Done)).unwrap();
    let after = after.into_inner();
    let changed: Vec<usize> =
        (0..before.len() / 512).filter(|i| before[i * 512..][..512] != after[i * 512..][..512]).collect();
    // Backup first, then primary: the order in which the sectors are written.
    let middle = before.len() / 1024;
    let order = changed.iter().filter(|i| **i > middle).chain(changed.iter().filter(|i| **i <= middle));
    let mut torn = before.clone();
    let mut names = Vec::new();
    for sector in order {
        torn[sector * 512..][..512].copy_from_slice(&after[sector * 512..][..512]);
        let TableSeen::Gpt(gpt) = read_table(&mut Cursor::new(&torn), 512).unwrap() else {
            panic!("neither table is whole")
        };
        names.push(gpt.entries[0].name.clone());
    }
    assert!(names.iter().all(|name| Marker::parse(name).is_some()));
    assert_eq!(names.last(), Some(&marker(Phase::Done).to_string()));
    assert!(changed.len() >= 4, "{changed:?}");
}

/// Every byte of both tables is flipped in turn; nothing panics, nothing false is believed.
#[test]
fn hostile_tables_never_panic() {
    let layout = Layout::medium(0, MIB);
    let mut disk = Cursor::new(vec![0u8; layout.disk_bytes as usize]);
    let name = marker(Phase::Done).to_string();
    write_new(&mut disk, &layout, &Guids::derived(b"x"), &name, Old::Zeroes).unwrap();
    for at in (446..512).chain(512..700).chain(1024..1500) {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let saved = disk.get_ref()[at];
            disk.get_mut()[at] = value;
            let seen = read_table(&mut disk, 512).unwrap();
            assert!(matches!(seen, TableSeen::Gpt(_)), "byte {at} = {value}");
            disk.get_mut()[at] = saved;
        }
    }
    for len in [0usize, 1, 511, 512, 513, 1024, 17 * 1024, 100_000] {
        let mut short = Cursor::new(disk.get_ref()[..len].to_vec());
        read_table(&mut short, 512).unwrap();
        read_table(&mut short, 4096).unwrap();
        assert!(set_marker(&mut short, 512, &marker(Phase::Done)).is_err());
    }
}

/// A machine's ESP is formatted with the target's own sectors, over whatever stood there before.
#[test]
fn an_esp_of_either_sector_size_is_clean_over_garbage() {
    let dir = tempfile::tempdir().unwrap();
    for sector in [512u32, 4096] {
        let at = landfall_disk::Extent { start_bytes: 2 * MIB, len_bytes: 320 * MIB };
        let (path, mut file) = image(dir.path(), &format!("esp{sector}"), 323 * MIB);
        file.write_all(&vec![0xa5; 24 * MIB as usize]).unwrap();
        write_esp(&file, at, sector, &esp_tree()).unwrap();
        let esp = dir.path().join("slice");
        slice(&path, at, &esp);
        judge("fsck.vfat", &["-n", esp.to_str().unwrap()]);
        let fs = std::fs::read(&esp).unwrap();
        assert_eq!(u32::from(u16::from_le_bytes([fs[11], fs[12]])), sector);
        // Nothing outside of the partition is touched.
        let mut edge = [0u8; 4096];
        file.seek(SeekFrom::Start(2 * MIB - 4096)).unwrap();
        file.read_exact(&mut edge).unwrap();
        assert!(edge.iter().all(|byte| *byte == 0xa5));
    }
}
