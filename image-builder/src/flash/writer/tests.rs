use super::*;
use landfall_disk::{Guids, Layout, MIB, Old, TableSeen, read_table, types, write_new};
use landfall_hosts::event::Silent;
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::io::{Cursor, Write};

/// What a stick does wrong, at the write with this number.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Nothing,
    Short,
    Errno(Errno),
    /// It says that it wrote, and did not.
    Lies,
    TakesNothing,
    /// The person stops it.
    Stop,
}

#[derive(Debug)]
struct Fake {
    bytes: RefCell<Vec<u8>>,
    wrong: Wrong,
    at_write: usize,
    writes: Cell<usize>,
    presence: Cell<Presence>,
    presence_after: Presence,
    stop: AtomicBool,
}

impl Fake {
    fn new(len: u64, fill: u8) -> Self {
        Self {
            bytes: RefCell::new(vec![fill; len as usize]),
            wrong: Wrong::Nothing,
            at_write: usize::MAX,
            writes: Cell::new(0),
            presence: Cell::new(Presence::Same),
            presence_after: Presence::Same,
            stop: AtomicBool::new(false),
        }
    }

    fn wrong(mut self, wrong: Wrong, at_write: usize) -> Self {
        (self.wrong, self.at_write) = (wrong, at_write);
        self
    }

    fn table(&self) -> TableSeen {
        read_table(&mut Cursor::new(self.bytes.borrow().clone()), 512).unwrap()
    }

    fn first_name(&self) -> String {
        let TableSeen::Gpt(gpt) = self.table() else { panic!("no table") };
        gpt.entries[0].name.clone()
    }
}

impl Stick for Fake {
    fn name(&self) -> &str {
        "the stick"
    }

    fn len_bytes(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes.borrow();
        let from = bytes.get(at as usize..).unwrap_or_default();
        let len = from.len().min(buffer.len());
        buffer[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let number = self.writes.replace(self.writes.get() + 1);
        let mut len = bytes.len();
        if number == self.at_write {
            self.presence.set(self.presence_after);
            match self.wrong {
                Wrong::Nothing => {}
                Wrong::Short => len /= 2,
                Wrong::Errno(errno) => return Err(errno.into()),
                Wrong::Lies => return Ok(len),
                Wrong::TakesNothing => return Ok(0),
                Wrong::Stop => self.stop.store(true, Ordering::Relaxed),
            }
        }
        self.bytes.borrow_mut()[at as usize..][..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn presence(&self) -> Presence {
        self.presence.get()
    }
}

/// A medium's image with an ESP of noise and data of noise, holes in both.
fn image(change: u8) -> (tempfile::NamedTempFile, Vec<u8>, Wanted) {
    let layout = Layout::medium(0, 4 * MIB);
    let mut disk = Cursor::new(vec![0u8; layout.disk_bytes as usize]);
    write_new(&mut disk, &layout, &Guids::derived(b"x"), types::MEDIUM_NAME, Old::Zeroes).unwrap();
    let mut bytes = disk.into_inner();
    for extent in [layout.esp, layout.data] {
        let at = extent.start_bytes as usize;
        for (index, byte) in bytes[at..at + 1_500_000].iter_mut().enumerate() {
            *byte = ((index * 7) >> 4) as u8;
        }
    }
    bytes[layout.data.start_bytes as usize + 40_000] = change;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let wanted = Wanted::open(file.path()).unwrap();
    (file, bytes, wanted)
}

fn flash(stick: &Fake, wanted: &Wanted, compare: bool) -> Result<Written, FlashError> {
    Writer { wanted, stick, compare, progress: &Silent, stop: &stick.stop }.run()
}

const STICK_BYTES: u64 = 80 * MIB;

#[test]
fn a_stick_is_the_image_with_its_backup_table_at_the_end() {
    let (_file, image, wanted) = image(1);
    let stick = Fake::new(STICK_BYTES, 0xa5);
    let out = flash(&stick, &wanted, false).unwrap();
    let bytes = stick.bytes.borrow().clone();
    let end = wanted.stick_bytes() as usize - MIB as usize;
    assert_eq!(bytes[17408..end], image[17408..end]);
    assert!(bytes[end..STICK_BYTES as usize - MIB as usize].iter().all(|byte| *byte == 0xa5), "not ours");
    let backup = STICK_BYTES as usize - 512 - 128 * 128;
    assert!(bytes[STICK_BYTES as usize - MIB as usize..backup].iter().all(|byte| *byte == 0));
    let TableSeen::Gpt(gpt) = stick.table() else { panic!("no table") };
    assert_eq!((gpt.from_backup, gpt.backup_lba), (false, STICK_BYTES / 512 - 1));
    assert_eq!(stick.first_name(), types::MEDIUM_NAME);
    assert_eq!(out.kept_bytes, 0);
}

#[test]
fn zeroes_that_are_there_are_not_written() {
    let (_file, _, wanted) = image(1);
    let stick = Fake::new(STICK_BYTES, 0);
    let out = flash(&stick, &wanted, false).unwrap();
    assert!(out.written_bytes < 6 * MIB && out.kept_bytes > 60 * MIB, "{out:?}");
}

#[test]
fn a_medium_that_is_there_is_changed_where_it_differs() {
    let (_file, _, wanted) = image(1);
    let stick = Fake::new(STICK_BYTES, 0xa5);
    flash(&stick, &wanted, false).unwrap();
    let (_file, new, wanted) = image(2);
    let out = flash(&stick, &wanted, true).unwrap();
    assert_eq!(out.written_bytes, BLOCK_BYTES as u64);
    let end = wanted.stick_bytes() as usize - MIB as usize;
    assert_eq!(stick.bytes.borrow()[17408..end], new[17408..end]);
}

#[test]
fn a_stick_of_exactly_the_image_will_do_and_a_smaller_one_will_not() {
    let (_file, _, wanted) = image(1);
    let stick = Fake::new(wanted.stick_bytes(), 0xa5);
    flash(&stick, &wanted, false).unwrap();
    let small = Fake::new(wanted.stick_bytes() - 2 * MIB, 0xa5);
    let error = flash(&small, &wanted, false).unwrap_err();
    assert!(error.to_string().contains("larger disk"), "{error}");
    assert!(small.bytes.borrow().iter().all(|byte| *byte == 0xa5));
}

#[test]
fn a_short_write_goes_on_where_it_ended() {
    let (_file, image, wanted) = image(1);
    let stick = Fake::new(STICK_BYTES, 0xa5).wrong(Wrong::Short, 5);
    flash(&stick, &wanted, false).unwrap();
    let end = wanted.stick_bytes() as usize - MIB as usize;
    assert_eq!(stick.bytes.borrow()[17408..end], image[17408..end]);
}

/// Each fault is said in its own words, and leaves a stick that starts nothing.
#[test]
fn faults_are_told_apart_and_leave_nothing_to_start() {
    let (_file, _, wanted) = image(1);
    let cases = [
        (Wrong::Errno(Errno::IO), Presence::Same, "failing"),
        (Wrong::Errno(Errno::IO), Presence::Gone, "pulled out"),
        (Wrong::Errno(Errno::NODEV), Presence::Gone, "pulled out"),
        (Wrong::Errno(Errno::NOSPC), Presence::Same, "full before its end"),
        (Wrong::TakesNothing, Presence::Same, "full before its end"),
        (Wrong::Lies, Presence::Same, "read back"),
        (Wrong::Stop, Presence::Same, "interrupted"),
        (Wrong::Nothing, Presence::Another, "another one has its name"),
        (Wrong::Nothing, Presence::Gone, "pulled out"),
    ];
    for (wrong, presence_after, words) in cases {
        let stick = Fake { presence_after, ..Fake::new(STICK_BYTES, 0xa5).wrong(wrong, 7) };
        let error = flash(&stick, &wanted, false).unwrap_err().to_string();
        assert!(error.contains(words), "{wrong:?}: {error}");
        assert!(error.contains("half written"), "{wrong:?}: {error}");
        assert_eq!(stick.first_name(), types::FLASHING_NAME, "{wrong:?}");
    }
}

#[test]
fn another_disk_under_the_name_is_left_alone() {
    let (_file, _, wanted) = image(1);
    let stick = Fake::new(STICK_BYTES, 0xa5);
    stick.presence.set(Presence::Another);
    let error = flash(&stick, &wanted, false).unwrap_err().to_string();
    assert!(error.contains("Nothing was written to it"), "{error}");
    assert_eq!(stick.writes.get(), 0);
}

#[test]
fn half_written_is_flashed_again_with_what_is_there() {
    let (_file, _, wanted) = image(1);
    let stick = Fake::new(STICK_BYTES, 0xa5).wrong(Wrong::Errno(Errno::IO), 20);
    flash(&stick, &wanted, false).unwrap_err();
    let out = flash(&stick, &wanted, true).unwrap();
    assert!(out.kept_bytes > 0);
    assert_eq!(stick.first_name(), types::MEDIUM_NAME);
}

#[test]
fn what_is_no_medium_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    assert!(Wanted::open(file.path()).unwrap_err().to_string().contains("no medium"));
    let (_other, bytes, _) = image(1);
    file.write_all(&bytes[..bytes.len() - 3 * MIB as usize]).unwrap();
    assert!(Wanted::open(file.path()).unwrap_err().to_string().contains("cut short"));
}
