//! A machine with a TPM in a folder: its log, its PCRs, its boot entries and its disk's header.

use super::*;
use crate::secrets::store::fake::Folder;
use crate::tools::fake::{FakeCommands, finished};
use landfall_measure::{Digest, LOADER, PCRS, authenticode, plain_before};
use std::cell::RefCell;
use std::fs;

struct World {
    dir: tempfile::TempDir,
    roots: Roots,
}

/// The smallest program that has an Authenticode hash: no section, `mark` behind the headers.
fn program(mark: u8) -> Vec<u8> {
    let mut file = vec![0; 0x200];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    put(0x54, &0xf0u16.to_le_bytes());
    put(0x58, &0x20bu16.to_le_bytes());
    put(0x58 + 60, &0x200u32.to_le_bytes());
    put(0x58 + 108, &16u32.to_le_bytes());
    file.extend([mark; 64]);
    file
}

/// A log in the crypto agile form with SHA-256 alone: PCR, type and hash of each entry.
fn log(events: &[(u32, u32, Digest)]) -> Vec<u8> {
    let mut head = b"Spec ID Event03\0".to_vec();
    head.extend([0; 8]);
    head.extend([1, 0, 0, 0, 0x0b, 0, 32, 0, 0]);
    let mut out = [0u32.to_le_bytes(), 3u32.to_le_bytes()].concat();
    out.extend([0; 20]);
    out.extend((head.len() as u32).to_le_bytes());
    out.extend(head);
    for (pcr, kind, digest) in events {
        out.extend([pcr.to_le_bytes(), kind.to_le_bytes(), 1u32.to_le_bytes()].concat());
        out.extend([0x0b, 0]);
        out.extend(digest.0);
        out.extend(0u32.to_le_bytes());
    }
    out
}

const MANIFEST: &str = r#"
format = 1
site = "s"
host = "vm"
profiles = []
serial = 1
site_commit = ""
epoch = 0
kernel_release = "6"
cmdline = "quiet"
efi = []
layers = []
[kernel]
name = "vmlinuz"
sha256 = "KERNEL"
size = 0
[[initrds]]
name = "initrd"
sha256 = "INITRD"
size = 0
[install]
disk = {}
existing = "refuse"
on_error = "prompt"
encrypt = { unlock = [WAYS], admins = [] }
"#;

/// A generation's manifest; its kernel is the program of that mark.
pub(super) fn manifest(unlock: &str, kernel: u8) -> String {
    let text = MANIFEST.replace("WAYS", unlock).replace("KERNEL", &Digest::of(&program(kernel)).to_string());
    text.replace("INITRD", &Digest::of(INITRD).to_string())
}

const INITRD: &[u8] = b"initrd";
const APPLICATION: u32 = 0x8000_0003;

impl World {
    fn new(unlock: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        let world = Self { dir, roots };
        for (at, mark) in [(LOADER[0], 1), (LOADER[1], 2)] {
            world.put(&format!("efi/{at}"), &program(mark));
        }
        world.put(&format!("efi/landfall/{}/initrd", Digest::of(INITRD)), INITRD);
        let [shim, loader, kernel] = [1, 2, 3].map(|mark| authenticode(&program(mark)).unwrap());
        let before = plain_before().map(|digest| (4, 4, digest));
        let programs = [shim, loader, kernel].map(|digest| (4, APPLICATION, digest));
        let events = [before.as_slice(), &programs].concat();
        world.put("sys/kernel/security/tpm0/binary_bios_measurements", &log(&events));
        world.put("sys/class/tpm/tpm0/tpm_version_major", b"2\n");
        let now = Pcrs([
            Digest::after(events.iter().map(|event| event.2)),
            Digest::of(b"7"),
            Digest::of(b"9"),
            Digest::ZERO,
        ]);
        for (number, value) in now.pairs() {
            world.put(&format!("sys/class/tpm/tpm0/pcr-sha256/{number}"), value.to_string().as_bytes());
        }
        world.put(
            "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
            &[6, 0, 0, 0, 1],
        );
        world.put("run/landfall/boot.toml", b"format = 1\nencrypted = true\ndata = \"abc\"\n");
        world.generation(1, unlock, 3);
        world
    }

    /// Its files, but for its entry.
    fn generation(&self, number: u8, unlock: &str, kernel: u8) {
        let at = format!("run/landfall/data/landfall/generations/{number}.toml");
        self.put(&at, manifest(unlock, kernel).as_bytes());
        let kernel = program(kernel);
        self.put(&format!("efi/landfall/{}/vmlinuz", Digest::of(&kernel)), &kernel);
    }

    /// The entry of a generation, as far as it does not name the volume.
    fn text(&self, number: u8, kernel: u8) -> String {
        let (kernel, initrd) = (Digest::of(&program(kernel)), Digest::of(INITRD));
        format!(
            "linux /landfall/{kernel}/vmlinuz\ninitrd /landfall/{initrd}/initrd\n\
             options landfall.mode=boot landfall.generation={number} landfall.data=abc quiet"
        )
    }

    fn put(&self, at: &str, bytes: &[u8]) {
        let path = self.dir.path().join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The usual entry.
    fn first(&self) -> Entry {
        self.entry("landfall-1.conf", &self.text(1, 3))
    }

    fn entry(&self, name: &str, text: &str) -> Entry {
        let identity = Header::parse(&header(&[])).unwrap().identity;
        let text = format!("{text} landfall.encrypted=1 landfall.volume={identity}\n");
        self.put(&format!("efi/loader/entries/{name}"), text.as_bytes());
        Entry::parse(&text).unwrap()
    }

    fn tpm(&self) -> Tpm {
        Tpm::find(&self.roots.sys("")).unwrap()
    }

    fn start(&self, entry: &Entry) -> Pcrs {
        let foreseen = self.tpm().foresee(&self.roots.path("/efi"), entry).unwrap();
        assert_eq!(foreseen.doubt, None);
        foreseen.starts[0]
    }
}

/// A header with a slot for each, from slot 2 on.
fn header(slots: &[(Pcrs, bool)]) -> String {
    let tokens: serde_json::Map<String, serde_json::Value> = slots
        .iter()
        .enumerate()
        .map(|(number, (pcrs, pin))| {
            let token = serde_json::json!({
                "type": "systemd-tpm2", "keyslots": [(number + 2).to_string()], "tpm2-pcrs": PCRS,
                "tpm2-policy-hash": pcrs.policy(*pin).to_string(), "tpm2-pin": pin,
            });
            (number.to_string(), token)
        })
        .collect();
    serde_json::json!({"tokens": tokens, "segments": {}, "digests": {}, "config": {}}).to_string()
}

/// Programs of a machine with that header; what `cryptenroll` was given beside its arguments.
fn commands(header: String) -> (FakeCommands, std::rc::Rc<RefCell<Vec<String>>>) {
    let given = std::rc::Rc::new(RefCell::new(Vec::new()));
    let (seen, mut commands) = (given.clone(), FakeCommands::default());
    commands.answers.push(Box::new(move |call| match call.tool {
        Tool::Cryptsetup => Some(finished(0, &header, "")),
        Tool::SystemdCryptenroll => {
            let mut files: Vec<String> = call
                .credentials
                .iter()
                .flat_map(|folder| fs::read_dir(folder).unwrap().flatten())
                .map(|file| {
                    format!("{}={}", file.file_name().display(), fs::read_to_string(file.path()).unwrap())
                })
                .collect();
            files.sort();
            files.extend(call.stdin.map(|bytes| format!("stdin={}", String::from_utf8_lossy(bytes))));
            seen.borrow_mut().push(files.join(" "));
            Some(finished(0, "", ""))
        }
        _ => None,
    }));
    (commands, given)
}

fn nobody(_: Question) -> Result<Zeroizing<String>> {
    Err(Error::Refused("nobody is there".into()))
}

fn run(world: &World, commands: &FakeCommands, ask: &Ask<'_>, name: Option<&str>) -> Result<Done> {
    let store = Folder(world.dir.path().join("credentials"));
    Job { roots: &world.roots, commands, store: &store, ask }.run(name)
}

#[test]
fn a_new_entry_is_sealed_for_unasked_and_a_gone_ones_slot_goes() {
    let world = World::new("\"tpm2\"");
    let now = world.tpm().now().unwrap();
    world.generation(2, "\"tpm2\"", 4);
    let new = world.start(&world.entry("landfall-2+3.conf", &world.text(2, 4)));
    world.first();
    let gone = Pcrs([Digest::of(b"gone"); 4]);
    let (commands, given) = commands(header(&[(now, false), (gone, false)]));
    let done = run(&world, &commands, &nobody, Some("landfall-2.conf")).unwrap();
    assert_eq!(done, Done { added: 1, dropped: 1, notes: Vec::new() });
    let device = world.roots.dev("disk/by-partuuid/abc").display().to_string();
    let sealed = format!(
        "systemd-cryptenroll --unlock-tpm2-device=auto --tpm2-device=auto --tpm2-pcrs={} --tpm2-with-pin=no",
        new.argument()
    );
    assert!(commands.called(&sealed), "{:?}", commands.calls);
    assert!(commands.called(&format!("systemd-cryptenroll --wipe-slot=3 {device}")), "{:?}", commands.calls);
    assert_eq!(*given.borrow(), ["", ""]);
}

#[test]
fn what_is_sealed_already_is_left_alone() {
    let world = World::new("\"tpm2\"");
    let start = world.start(&world.first());
    let (commands, given) = commands(header(&[(start, false)]));
    assert_eq!(run(&world, &commands, &nobody, None).unwrap(), Done::default());
    assert!(given.borrow().is_empty());
}

#[test]
fn a_pin_opens_and_seals_and_stands_in_no_argument() {
    let world = World::new("\"tpm2+pin\", \"passphrase\"");
    let now = world.tpm().now().unwrap();
    world.first();
    let (commands, given) = commands(header(&[(now, true)]));
    let asked = RefCell::new(Vec::new());
    let ask = |question| {
        asked.borrow_mut().push(question);
        Ok(Zeroizing::new("geheim7".to_owned()))
    };
    assert_eq!(run(&world, &commands, &ask, None).unwrap().added, 1);
    assert_eq!(*asked.borrow(), [Question::Pin]);
    assert_eq!(*given.borrow(), ["cryptenroll.new-tpm2-pin=geheim7 cryptenroll.tpm2-pin=geheim7"]);
    assert!(!format!("{:?}", commands.calls).contains("geheim7"));
}

#[test]
fn where_the_tpm_does_not_open_the_disk_a_key_does() {
    let world = World::new("\"tpm2+pin\"");
    world.first();
    let (commands, given) = commands(header(&[]));
    let ask = |question| Ok(Zeroizing::new(format!("{question:?}")));
    assert_eq!(run(&world, &commands, &ask, None).unwrap().added, 1);
    assert_eq!(*given.borrow(), ["cryptenroll.new-tpm2-pin=NewPin stdin=Key"]);
    assert!(commands.called("systemd-cryptenroll --unlock-key-file=/dev/stdin"));
}

#[test]
fn an_entry_that_would_start_another_disk_gets_no_key() {
    let world = World::new("\"tpm2\"");
    world.put(
        "efi/loader/entries/landfall-2.conf",
        format!("{} landfall.encrypted=1\n", world.text(1, 3)).as_bytes(),
    );
    let (commands, given) = commands(header(&[]));
    let error = run(&world, &commands, &nobody, Some("landfall-2")).unwrap_err().to_string();
    assert!(error.contains("landfall.volume="), "{error}");
    assert!(given.borrow().is_empty());
    let error = run(&world, &commands, &nobody, Some("landfall-3")).unwrap_err().to_string();
    assert!(error.contains("there are: landfall-2.conf"), "{error}");
}

#[test]
fn an_entry_that_somebody_put_there_gets_no_key() {
    let world = World::new("\"tpm2\"");
    world.first();
    world.entry("landfall-9.conf", &format!("{} init=/bin/sh", world.text(1, 3)));
    let (commands, given) = commands(header(&[]));
    for name in [None, Some("landfall-9")] {
        let error = run(&world, &commands, &nobody, name).unwrap_err().to_string();
        assert!(error.contains("landfall-9.conf: its command line is not its generation's"), "{error}");
    }
    assert!(given.borrow().is_empty());
}

#[test]
fn the_tpm_alone_is_refused_without_secure_boot_and_all_without_a_tpm() {
    let world = World::new("\"tpm2\"");
    world.first();
    let (commands, given) = commands(header(&[]));
    world.put("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", &[6, 0, 0, 0, 0]);
    let error = run(&world, &commands, &nobody, None).unwrap_err().to_string();
    assert!(error.contains("Secure Boot is off"), "{error}");
    fs::remove_dir_all(world.dir.path().join("sys/class/tpm")).unwrap();
    let error = run(&world, &commands, &nobody, None).unwrap_err().to_string();
    assert!(error.contains("no TPM 2"), "{error}");
    world.put("run/landfall/boot.toml", b"format = 1\ndata = \"abc\"\n");
    let error = run(&world, &commands, &nobody, None).unwrap_err().to_string();
    assert!(error.contains("not encrypted"), "{error}");
    assert!(given.borrow().is_empty());
}

#[test]
fn a_firmware_in_doubt_is_said_and_loses_no_slot() {
    let world = World::new("\"tpm2\"");
    world.first();
    world.put("sys/kernel/security/tpm0/binary_bios_measurements", b"");
    let now = world.tpm().now().unwrap();
    let gone = Pcrs([Digest::of(b"gone"); 4]);
    let (commands, _) = commands(header(&[(now, false), (gone, false)]));
    let done = run(&world, &commands, &nobody, None).unwrap();
    assert_eq!((done.added, done.dropped, done.notes.len()), (1, 0, 2));
}

#[test]
fn an_entry_is_known_by_its_name_whatever_its_tries() {
    for name in ["landfall-2", "landfall-2.conf", "landfall-2+3.conf", "landfall-2+2-1.conf"] {
        assert!(is_called("landfall-2+3.conf", name), "{name}");
        assert!(!is_called("landfall-21.conf", name), "{name}");
    }
}
