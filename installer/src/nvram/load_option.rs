//! `EFI_LOAD_OPTION` and the two device path nodes that a boot entry of ours has (UEFI
//! specification 2.10, 3.1.3, 10.3.5.1, 10.3.5.4).

/// The option takes part in booting.
const ACTIVE: u32 = 1;
const MEDIA: u8 = 4;
const HARD_DRIVE: u8 = 1;
const FILE_PATH: u8 = 4;
const HARD_DRIVE_BYTES: u16 = 42;
const END: [u8; 4] = [0x7f, 0xff, 4, 0];

/// A boot entry: which file on which partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOption {
    /// What the firmware's menu shows.
    pub description: String,
    /// Partition number.
    pub partition: u32,
    /// First sector of the partition.
    pub first_lba: u64,
    /// Its length in sectors.
    pub sectors: u64,
    /// PARTUUID as it stands in the GPT: mixed endian.
    pub guid: [u8; 16],
    /// File with backslashes: `\EFI\BOOT\BOOTX64.EFI`.
    pub file: String,
}

impl LoadOption {
    /// The variable's value.
    pub fn encode(&self) -> Vec<u8> {
        let mut path = vec![MEDIA, HARD_DRIVE];
        path.extend(HARD_DRIVE_BYTES.to_le_bytes());
        path.extend(self.partition.to_le_bytes());
        path.extend(self.first_lba.to_le_bytes());
        path.extend(self.sectors.to_le_bytes());
        path.extend(self.guid);
        // GPT, and the signature is a GUID.
        path.extend([2, 2]);
        let file = utf16(&self.file);
        path.extend([MEDIA, FILE_PATH]);
        path.extend(u16::try_from(4 + file.len()).unwrap_or(u16::MAX).to_le_bytes());
        path.extend(file);
        path.extend(END);
        let mut out = ACTIVE.to_le_bytes().to_vec();
        out.extend(u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(utf16(&self.description));
        out.extend(path);
        out
    }

    /// Reads an entry that starts a file from a GPT partition; `None` for all others.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(6..)?;
        let mut units = Vec::new();
        let mut at = 0;
        loop {
            let unit = u16::from_le_bytes(rest.get(at..at + 2)?.try_into().ok()?);
            at += 2;
            if unit == 0 {
                break;
            }
            units.push(unit);
        }
        let mut found = Self {
            description: String::from_utf16_lossy(&units),
            partition: 0,
            first_lba: 0,
            sectors: 0,
            guid: [0; 16],
            file: String::new(),
        };
        let length = usize::from(u16::from_le_bytes(bytes.get(4..6)?.try_into().ok()?));
        let mut path = rest.get(at..at.checked_add(length)?)?;
        while let Some(node) = Node::first(path) {
            found.take(&node);
            path = path.get(node.length..)?;
        }
        (found.partition != 0).then_some(found)
    }

    fn take(&mut self, node: &Node<'_>) {
        let number = |at: usize| {
            let bytes = node.data.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        match (node.kind, node.sub) {
            (MEDIA, HARD_DRIVE) if node.data.len() >= 38 => {
                self.partition = u32::try_from(number(0) & 0xffff_ffff).unwrap_or(0);
                self.first_lba = number(4);
                self.sectors = number(12);
                if let Some(Ok(guid)) = node.data.get(20..36).map(TryInto::try_into) {
                    self.guid = guid;
                }
            }
            (MEDIA, FILE_PATH) => {
                let units = node.data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
                let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
                self.file.push_str(&String::from_utf16_lossy(&units));
            }
            _ => {}
        }
    }
}

struct Node<'a> {
    kind: u8,
    sub: u8,
    length: usize,
    data: &'a [u8],
}

impl<'a> Node<'a> {
    fn first(path: &'a [u8]) -> Option<Self> {
        let length = usize::from(u16::from_le_bytes(path.get(2..4)?.try_into().ok()?));
        // A length below the header's own would never move on.
        let data = path.get(4..length)?;
        let (kind, sub) = (*path.first()?, *path.get(1)?);
        (kind != 0x7f).then_some(Self { kind, sub, length, data })
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> LoadOption {
        LoadOption {
            description: "Landfall".into(),
            partition: 2,
            first_lba: 4096,
            sectors: 2_097_152,
            guid: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            file: "\\EFI\\BOOT\\BOOTX64.EFI".into(),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let bytes = sample().encode();
        assert_eq!(bytes[..6], [1, 0, 0, 0, 94, 0]);
        assert_eq!(bytes[6..10], [b'L', 0, b'a', 0]);
        let path = &bytes[6 + 18..];
        assert_eq!(path[..8], [4, 1, 42, 0, 2, 0, 0, 0]);
        assert_eq!(path[8..16], 4096u64.to_le_bytes());
        assert_eq!(path[40..42], [2, 2]);
        assert_eq!(path[42..46], [4, 4, 48, 0]);
        assert_eq!(path[path.len() - 4..], END);
        assert_eq!(path.len(), 94);
    }

    #[test]
    fn there_and_back() {
        assert_eq!(LoadOption::decode(&sample().encode()), Some(sample()));
    }

    #[test]
    fn hostile_bytes_are_none() {
        let whole = sample().encode();
        for length in 0..whole.len() {
            let _ = LoadOption::decode(&whole[..length]);
        }
        assert_eq!(LoadOption::decode(&[0xff; 200]), None);
        assert_eq!(LoadOption::decode(&[0; 200]), None);
        let mut zero_length_node = whole.clone();
        zero_length_node[6 + 18 + 2] = 0;
        assert_eq!(LoadOption::decode(&zero_length_node), None);
    }
}
