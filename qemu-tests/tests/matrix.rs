//! The scenario matrix. Four rows to the hand-over to systemd in every run; all of them to the end of first boot with
//! `--all`, where `LANDFALL_SHARD=K/N` takes a part of them and a row that has passed with these programs is not
//! played again.

use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::matrix::{ROWS, Row};
use landfall_qemu_tests::rehearsal::Starts;

/// What stage 1 says last.
const HANDED_OVER: &str = "Starting vm (generation 1)";
/// What first boot says last.
const DONE: &str = "LANDFALL FIRSTBOOT done";

fn play(number: usize) {
    let row: Row = ROWS[number];
    row.play(HANDED_OVER).unwrap_or_else(|error| panic!("{}: {error}", row.name()));
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn core_secure_boot_tpm() {
    play(0);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn core_secure_boot_usb_large_sectors_passphrase() {
    play(5);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn core_uefi_sata() {
    assert_eq!(ROWS[10].starts, Starts::Uefi);
    play(10);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn core_bios_sata_passphrase() {
    assert_eq!(ROWS[16].starts, Starts::Bios);
    play(16);
}

/// What only `--all` runs.
mod long {
    use super::{DONE, Fixture, ROWS};

    /// Which rows are this run's, of `K/N`.
    fn shard() -> (usize, usize) {
        let text = std::env::var("LANDFALL_SHARD").unwrap_or_else(|_| "1/1".into());
        let (one, all) = text.split_once('/').expect("LANDFALL_SHARD is K/N");
        let number = |text: &str| text.parse::<usize>().expect("LANDFALL_SHARD is K/N");
        let (one, all) = (number(one), number(all));
        assert!((1..=all).contains(&one), "LANDFALL_SHARD is K/N with K from 1 to N");
        (one - 1, all)
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn all_rows_come_up() {
        let (mine, shards) = shard();
        // The fixture's folder is named by the programs and the example: another state of them begins anew.
        let passed = Fixture::shared().expect("making the fixture").folder.join("matrix-passed");
        std::fs::create_dir_all(&passed).expect("creating a folder for what has passed");
        let mut failed = Vec::new();
        for row in ROWS.into_iter().enumerate().filter(|(at, _)| at % shards == mine).map(|(_, row)| row) {
            let mark = passed.join(row.name());
            if mark.exists() {
                eprintln!("{}: passed earlier", row.name());
                continue;
            }
            match row.play(DONE) {
                Ok(()) => std::fs::write(&mark, "").expect("noting what has passed"),
                Err(error) => failed.push(format!("{}: {error}", row.name())),
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}
