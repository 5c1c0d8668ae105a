//! A tar stream in the POSIX pax format (POSIX.1-2017, "pax Interchange Format"; extended
//! attributes as `SCHILY.xattr.NAME`, as GNU tar and mkfs.erofs know them).

use super::{Content, Entry, Kind, TreeError, io};
use std::fs::File;
use std::io::{Read, Write};

const BLOCK: usize = 512;

/// Writes entries in the order in which they come.
pub struct TarWriter<W: Write> {
    out: W,
}

impl<W: Write> TarWriter<W> {
    /// A writer into `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes one entry with its content.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), TreeError> {
        let mut name = b"./".to_vec();
        name.extend_from_slice(&entry.path);
        if entry.kind == Kind::Directory && !entry.path.is_empty() {
            name.push(b'/');
        }
        let (flag, link, size, device) = parts(&entry.kind);
        let mut records = Vec::new();
        if name.len() > 100 {
            record(&mut records, b"path", &name);
        }
        if link.len() > 100 {
            record(&mut records, b"linkpath", &link);
        }
        if size > 0o77_777_777_777 {
            record(&mut records, b"size", size.to_string().as_bytes());
        }
        for (attribute, value) in &entry.xattrs {
            record(&mut records, &[b"SCHILY.xattr.", attribute.as_slice()].concat(), value);
        }
        if !records.is_empty() {
            self.raw_header(&Header {
                name: b"./PaxHeaders/x",
                mode: 0o644,
                size: records.len() as u64,
                flag: b'x',
                ..Header::default()
            })?;
            self.padded(&records)?;
        }
        self.raw_header(&Header {
            name: &name,
            mode: entry.mode & 0o7777,
            uid: entry.uid,
            gid: entry.gid,
            size,
            mtime: entry.mtime,
            flag,
            link: &link,
            device,
        })?;
        match &entry.kind {
            Kind::File(content) => self.content(content),
            _ => Ok(()),
        }
    }

    /// Ends the archive and hands the stream back.
    pub fn finish(mut self) -> Result<W, TreeError> {
        self.write(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(io("writing the tar stream"))?;
        Ok(self.out)
    }

    fn content(&mut self, content: &Content) -> Result<(), TreeError> {
        match content {
            Content::Memory(bytes) => self.padded(bytes),
            Content::Disk(path, size) => {
                let mut file = File::open(path).map_err(io(format!("opening {}", path.display())))?;
                let mut source = (&mut file).take(*size);
                let copied = std::io::copy(&mut source, &mut self.out)
                    .map_err(io(format!("packing {}", path.display())))?;
                let grown = file.read(&mut [0]).map_err(io(format!("reading {}", path.display())))?;
                if copied != *size || grown != 0 {
                    return Err(TreeError::Changed { path: path.clone(), expected: *size });
                }
                self.padding(*size)
            }
        }
    }

    fn padded(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        self.write(bytes)?;
        self.padding(bytes.len() as u64)
    }

    fn padding(&mut self, size: u64) -> Result<(), TreeError> {
        let over = (size % BLOCK as u64) as usize;
        if over == 0 { Ok(()) } else { self.write(&[0; BLOCK][over..]) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        self.out.write_all(bytes).map_err(io("writing the tar stream"))
    }

    fn raw_header(&mut self, header: &Header<'_>) -> Result<(), TreeError> {
        self.write(&header.block())
    }
}

/// Type flag, link target, size and device numbers of an entry.
fn parts(kind: &Kind) -> (u8, Vec<u8>, u64, (u32, u32)) {
    match kind {
        Kind::File(content) => (b'0', Vec::new(), content.size(), (0, 0)),
        Kind::HardLink(first) => (b'1', [b"./".as_slice(), first].concat(), 0, (0, 0)),
        Kind::Symlink(target) => (b'2', target.clone(), 0, (0, 0)),
        Kind::Character(major, minor) => (b'3', Vec::new(), 0, (*major, *minor)),
        Kind::Block(major, minor) => (b'4', Vec::new(), 0, (*major, *minor)),
        Kind::Directory => (b'5', Vec::new(), 0, (0, 0)),
        Kind::Fifo => (b'6', Vec::new(), 0, (0, 0)),
    }
}

#[derive(Default)]
struct Header<'a> {
    name: &'a [u8],
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: u64,
    flag: u8,
    link: &'a [u8],
    device: (u32, u32),
}

impl Header<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0_u8; BLOCK];
        text(&mut block[0..100], self.name);
        octal(&mut block[100..108], u64::from(self.mode));
        octal(&mut block[108..116], u64::from(self.uid));
        octal(&mut block[116..124], u64::from(self.gid));
        octal(&mut block[124..136], self.size.min(0o77_777_777_777));
        octal(&mut block[136..148], self.mtime);
        block[148..156].fill(b' ');
        block[156] = self.flag;
        text(&mut block[157..257], self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..337], u64::from(self.device.0));
        octal(&mut block[337..345], u64::from(self.device.1));
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        octal(&mut block[148..155], u64::from(sum));
        block
    }
}

/// The part that fits; what does not stands in a pax record.
fn text(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

fn octal(field: &mut [u8], value: u64) {
    let digits = format!("{value:0width$o}", width = field.len() - 1);
    let length = digits.len().min(field.len() - 1);
    field[..length].copy_from_slice(&digits.as_bytes()[..length]);
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.into(), kind, mode: 0o644, uid: 0, gid: 0, mtime: 1, xattrs: Default::default() }
    }

    #[test]
    fn records_count_their_own_length() {
        for length in [1, 2, 88, 89, 90, 91, 985, 986, 987] {
            let mut records = Vec::new();
            record(&mut records, b"path", &vec![b'x'; length]);
            let text = String::from_utf8(records).unwrap();
            let (number, _) = text.split_once(' ').unwrap();
            assert_eq!(number.parse::<usize>().unwrap(), text.len());
        }
    }

    #[test]
    fn another_reader_understands_every_kind() {
        let long = format!("{}/file", "d".repeat(180));
        let mut whiteout = entry("gone", Kind::Character(0, 0));
        whiteout.mode = 0;
        let mut opaque = entry("dir", Kind::Directory);
        opaque.xattrs.insert(super::super::OPAQUE.to_vec(), b"y".to_vec());
        let entries = [
            opaque,
            entry(&long, Kind::File(Content::Memory(vec![7; 700]))),
            entry("hard", Kind::HardLink(long.clone().into_bytes())),
            entry("soft", Kind::Symlink(b"t".repeat(150))),
            whiteout,
        ];
        let mut writer = TarWriter::new(Vec::new());
        entries.iter().for_each(|entry| writer.entry(entry).unwrap());
        let bytes = writer.finish().unwrap();
        let mut archive = ::tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for found in archive.entries().unwrap() {
            let mut found = found.unwrap();
            let mut content = Vec::new();
            let extensions: Vec<String> = found
                .pax_extensions()
                .unwrap()
                .map(|all| all.map(|one| one.unwrap().key().unwrap().to_owned()).collect())
                .unwrap_or_default();
            found.read_to_end(&mut content).unwrap();
            seen.push((
                found.path_bytes().into_owned(),
                found.header().entry_type(),
                content.len(),
                extensions,
            ));
        }
        assert_eq!(seen[0].0, b"./dir/");
        assert_eq!(seen[0].3, ["SCHILY.xattr.trusted.overlay.opaque"]);
        assert_eq!((seen[1].0.len(), seen[1].2), (long.len() + 2, 700));
        assert_eq!(seen[2].1, ::tar::EntryType::Link);
        assert_eq!(seen[3].1, ::tar::EntryType::Symlink);
        assert_eq!(seen[4].1, ::tar::EntryType::Char);
    }
}
