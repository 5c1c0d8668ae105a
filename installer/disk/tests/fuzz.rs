//! Fuzz targets: whatever stands on a disk, and the names in its table.
//!
//! The corpora `table` and `fat` hold disks as [`disk_image`] reads them, and are generated here.

use landfall_disk::{
    BootEntry, Entry, Extent, Fat, Gpt, Guids, InstallId, Layout, MIB, Marker, Old, Phase, TableSeen, probe,
    read_table, refit, set_marker, survey, swap_seen, types, write_new,
};
use landfall_fuzz::{disk_image, generated, packed_disk, target};
use std::io::Cursor;

const ID: InstallId = InstallId([1, 2, 3, 4, 5, 6, 7, 8]);

/// Makes the checksums right again, or no edit of a table would ever be read.
fn repaired(mut disk: Vec<u8>, sector: usize) -> Vec<u8> {
    for header in [sector, disk.len().saturating_sub(sector)] {
        let _ = repair(&mut disk, header, sector);
    }
    disk
}

fn repair(disk: &mut [u8], header: usize, sector: usize) -> Option<()> {
    let number = |disk: &[u8], at: usize, len: usize| {
        let bytes = disk.get(header + at..header + at + len)?;
        Some(bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let start = usize::try_from(number(disk, 72, 8)?).ok()?.checked_mul(sector)?;
    let bytes = number(disk, 80, 4)?.checked_mul(number(disk, 84, 4)?)?;
    let array = crc(disk.get(start..start.checked_add(usize::try_from(bytes).ok()?)?)?);
    disk.get_mut(header + 88..header + 92)?.copy_from_slice(&array.to_le_bytes());
    disk.get_mut(header + 16..header + 20)?.fill(0);
    let len = usize::try_from(number(disk, 12, 4)?).ok()?;
    let own = crc(disk.get(header..header.checked_add(len)?)?);
    disk.get_mut(header + 16..header + 20)?.copy_from_slice(&own.to_le_bytes());
    Some(())
}

fn crc(bytes: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes)
}

fn look(disk: Vec<u8>, sector: u32) {
    let mut disk = Cursor::new(disk);
    let len = disk.get_ref().len() as u64;
    if let Ok(seen) = survey(&mut disk, sector) {
        let _ = seen.to_string();
    }
    if let Ok(TableSeen::Gpt(gpt)) = read_table(&mut disk, sector) {
        let _ = refit(&gpt, &[0; 512], len.saturating_mul(2), sector);
        let _ = (Layout::of(&gpt, len, sector), Guids::of(&gpt));
    }
    for (start, length) in [(0, len), (len / 2, u64::MAX), (u64::MAX, 1), (len, len)] {
        let _ = probe(&mut disk, start, length);
    }
    let _ = swap_seen(disk.get_ref());
    let marker = Marker { phase: Phase::Done, id: ID };
    if set_marker(&mut disk, sector, &marker).is_ok() {
        let seen = read_table(&mut disk, sector).expect("a disk in memory can be read");
        let TableSeen::Gpt(Gpt { entries, .. }) = seen else { panic!("{seen:?} behind a new marker") };
        assert_eq!(entries.first().map(|entry| entry.name.clone()), Some(marker.to_string()));
    }
}

#[test]
fn table() {
    target!("table", |bytes: &[u8]| {
        let Some((how, rest)) = bytes.split_first() else {
            return;
        };
        let sector: u32 = if how & 1 == 0 { 512 } else { 4096 };
        let disk = disk_image(rest);
        look(if how & 2 == 0 { disk } else { repaired(disk, sector as usize) }, sector);
    });
}

#[test]
fn fat() {
    target!("fat", |bytes: &[u8]| {
        let mut disk = Cursor::new(disk_image(bytes));
        let Ok(Some(mut fat)) = Fat::open(&mut disk, 0) else {
            return;
        };
        for folder in ["", "EFI", "loader/entries", "reports"] {
            let _ = fat.folder(folder);
        }
        let _ = fat.file("loader/entries/arch-long-name.conf", 4096);
        let _ = fat.file("reports/VM-1.JSON", u32::MAX);
    });
}

#[test]
fn names() {
    target!("names", |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Some(marker) = Marker::parse(&text) {
            assert_eq!(marker.to_string(), text);
        }
        let _ = text.parse::<InstallId>();
        let part = || text.chars().take(200).collect::<String>();
        let entry =
            BootEntry { title: part(), options: part(), initrds: vec![part()], ..BootEntry::default() };
        if let Ok(text) = entry.render() {
            assert_eq!(text.lines().count(), 6);
        }
    });
}

/// What the files of the corpus are.
fn disks() -> Vec<(&'static str, u32, Vec<u8>)> {
    // Smaller than any real one: a target looks at all of it many times.
    let at = |mib: u64| Extent { start_bytes: mib * MIB, len_bytes: MIB };
    let layout =
        Layout { sector_bytes: 512, disk_bytes: 5 * MIB, bios: at(1), esp: at(2), data: at(3), swap: None };
    let table = |name: &str| {
        let mut disk = Cursor::new(vec![0u8; layout.disk_bytes as usize]);
        write_new(&mut disk, &layout, &Guids::derived(b"x"), name, Old::Zeroes).expect("writing to memory");
        disk.into_inner()
    };
    let marker = |phase| table(&Marker { phase, id: ID }.to_string());
    let with = |mut disk: Vec<u8>, at: usize, bytes: &[u8]| {
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        disk
    };
    let blank = || vec![0u8; 2 * MIB as usize];
    let mbr = |kind: u8, start: u32, sectors: u32| {
        let mut entry = vec![0x80, 0, 0, 0, kind, 0, 0, 0];
        entry.extend(start.to_le_bytes());
        entry.extend(sectors.to_le_bytes());
        with(with(blank(), 446, &entry), 510, &[0x55, 0xaa])
    };
    vec![
        ("blank", 512, blank()),
        ("installing", 512, marker(Phase::Installing)),
        ("done", 512, marker(Phase::Done)),
        ("medium", 512, table(types::MEDIUM_NAME)),
        ("done-with-an-esp", 512, with(marker(Phase::Done), 2 * MIB as usize, &esp())),
        ("torn-primary", 512, with(marker(Phase::Installing), 520, &[0xff; 8])),
        ("huge-array", 512, with(marker(Phase::Done), 512 + 80, &[0xff; 8])),
        ("entries-of-one-byte", 512, with(marker(Phase::Done), 512 + 84, &1u32.to_le_bytes())),
        ("array-at-the-end", 512, with(marker(Phase::Done), 512 + 72, &u64::MAX.to_le_bytes())),
        ("reversed-partition", 512, with(marker(Phase::Done), 1024 + 32, &[0xff; 16])),
        ("name-of-lone-surrogates", 512, with(marker(Phase::Done), 1024 + 56, &[0xd8; 72])),
        ("gpt-of-4096", 4096, with(marker(Phase::Done), 4096, b"EFI PART")),
        ("mbr", 512, mbr(0x07, 2048, 2048)),
        ("mbr-past-the-end", 512, mbr(0x83, u32::MAX, u32::MAX)),
        ("protective-alone", 512, mbr(0xee, 1, u32::MAX)),
        ("ext4", 512, with(blank(), 0x438, &[0x53, 0xef])),
        ("luks", 512, with(blank(), 0, b"LUKS\xba\xbe\0\x02")),
        ("btrfs-with-a-label", 512, with(with(blank(), 0x1_0040, b"_BHRfS_M"), 0x1_012b, &[0xff; 256])),
        ("swap", 4096, with(blank(), 4086, b"SWAPSPACE2")),
    ]
}

/// A clock that stands, so that the corpus is the same whenever it is generated.
#[derive(Debug)]
struct Always;

impl fatfs::TimeProvider for Always {
    fn get_current_date(&self) -> fatfs::Date {
        fatfs::Date { year: 2000, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> fatfs::DateTime {
        fatfs::DateTime {
            date: self.get_current_date(),
            time: fatfs::Time { hour: 0, min: 0, sec: 0, millis: 0 },
        }
    }
}

/// An ESP as other systems leave it, of 64 KiB.
fn esp() -> Vec<u8> {
    let mut bytes = Cursor::new(vec![0u8; 64 << 10]);
    let options = fatfs::FormatVolumeOptions::new().volume_label(*b"ESP        ");
    fatfs::format_volume(&mut bytes, options).expect("formatting memory");
    let options = fatfs::FsOptions::new().time_provider(&Always);
    let filesystem = fatfs::FileSystem::new(&mut bytes, options).expect("our own image");
    let root = filesystem.root_dir();
    for folder in ["EFI", "EFI/Microsoft", "EFI/debian", "loader", "loader/entries", "reports"] {
        root.create_dir(folder).expect("room for a folder");
    }
    for (name, text) in [("loader/entries/arch-long-name.conf", "title Arch\n"), ("reports/vm-1.json", "{}")]
    {
        let mut file = root.create_file(name).expect("room for a file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("room for a text");
    }
    drop(root);
    drop(filesystem);
    bytes.into_inner()
}

fn filesystems() -> Vec<(&'static str, Vec<u8>)> {
    let with = |at: usize, bytes: &[u8]| {
        let mut disk = esp();
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        packed_disk(&disk)
    };
    vec![
        ("whole", packed_disk(&esp())),
        ("sectors-of-no-bytes", with(11, &[0, 0])),
        ("clusters-of-no-sectors", with(13, &[0])),
        ("no-tables", with(16, &[0])),
        ("huge-root", with(17, &[0xff, 0xff])),
        ("huge-total", with(19, &[0, 0])),
        ("ring", with(515, &[0x02, 0x20, 0x00])),
    ]
}

#[test]
fn every_file_of_the_corpora_is_what_its_name_says() {
    // The first byte is the target's own: sector size, and whether checksums are made right.
    let packed = |(name, sector, disk): (&'static str, u32, Vec<u8>)| {
        let how = if sector == 512 { 2 } else { 3 };
        (name, [vec![how], packed_disk(&disk)].concat())
    };
    let tables: Vec<(&str, Vec<u8>)> = disks().into_iter().map(packed).collect();
    generated(env!("CARGO_MANIFEST_DIR"), "table", &tables);
    generated(env!("CARGO_MANIFEST_DIR"), "fat", &filesystems());
}

#[test]
fn repairing_makes_an_edited_table_valid() {
    let (_, _, mut disk) = disks().into_iter().find(|(name, ..)| *name == "done").expect("it is there");
    disk[1024 + 40] ^= 1;
    disk.truncate(512 * 100);
    let valid = |disk: &[u8]| match read_table(&mut Cursor::new(disk), 512) {
        Ok(TableSeen::Gpt(Gpt { entries, .. })) => entries.first().map(|entry: &Entry| entry.last_lba),
        _ => None,
    };
    assert_eq!(valid(&disk), None);
    assert_eq!(valid(&repaired(disk, 512)), Some((2 * MIB / 512 - 1) ^ 1));
}
