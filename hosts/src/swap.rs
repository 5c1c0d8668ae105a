//! `[disk] swap`: `none`, `zram`, `file:SIZE`, `partition:SIZE`, `partition:ram`.

use crate::rule::parse_size;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where memory that is not needed now may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Swap {
    /// Nowhere.
    #[default]
    None,
    /// Into memory, compressed.
    Zram,
    /// Into a file of so many bytes on the data partition.
    File(u64),
    /// Into a partition of so many bytes.
    Partition(u64),
    /// Into a partition that the whole memory fits into, so that the machine can hibernate.
    PartitionOfMemory,
}

impl Swap {
    /// Nothing is asked for.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl fmt::Display for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Zram => f.write_str("zram"),
            Self::File(bytes) => write!(f, "file:{bytes}"),
            Self::Partition(bytes) => write!(f, "partition:{bytes}"),
            Self::PartitionOfMemory => f.write_str("partition:ram"),
        }
    }
}

impl FromStr for Swap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |text: &str| match parse_size(text)? {
            bytes if bytes > 0 => u64::try_from(bytes).map_err(|error| error.to_string()),
            _ => Err(format!("`{text}` is no size for swap")),
        };
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "zram" => Ok(Self::Zram),
            Some(("partition", "ram")) => Ok(Self::PartitionOfMemory),
            Some(("file", text)) => size(text).map(Self::File),
            Some(("partition", text)) => size(text).map(Self::Partition),
            _ => Err(format!("`{text}` is not none, zram, file:16G, partition:16G or partition:ram")),
        }
    }
}

impl TryFrom<String> for Swap {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Swap> for String {
    fn from(swap: Swap) -> Self {
        swap.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_goes_there_and_back() {
        for (text, swap) in [
            ("none", Swap::None),
            ("zram", Swap::Zram),
            ("file:16G", Swap::File(16_000_000_000)),
            ("file:512Mi", Swap::File(512 << 20)),
            ("partition:8G", Swap::Partition(8_000_000_000)),
            ("partition:ram", Swap::PartitionOfMemory),
        ] {
            assert_eq!(text.parse(), Ok(swap));
            assert_eq!(swap.to_string().parse(), Ok(swap));
        }
        for bad in ["", "16G", "file:", "file:0", "file:ram", "file:-1", "disk:1G", "zram:1G", "partition:"] {
            assert!(bad.parse::<Swap>().is_err(), "{bad}");
        }
    }
}
