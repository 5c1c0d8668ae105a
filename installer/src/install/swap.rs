//! What swap takes of the disk, decided from the host's wish and the machine's facts.

use super::refusal::Refusal;
use crate::bytes::human;
use crate::probe::Machine;
use landfall_disk::MIB;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::swap::Swap;

/// Room that swap needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwapRoom {
    /// Bytes of a partition of its own; 0 for none.
    pub partition_bytes: u64,
    /// Bytes of a file on the data partition; 0 for none.
    pub file_bytes: u64,
}

/// Plans the room, or refuses hibernation where the kernel would.
pub fn room(manifest: &Manifest, machine: &Machine) -> Result<SwapRoom, Refusal> {
    let partition = |partition_bytes| SwapRoom { partition_bytes, file_bytes: 0 };
    match manifest.install.swap {
        Swap::None | Swap::Zram => Ok(SwapRoom::default()),
        Swap::File(file_bytes) => Ok(SwapRoom { partition_bytes: 0, file_bytes }),
        Swap::Partition(bytes) => Ok(partition(bytes)),
        Swap::PartitionOfMemory if machine.secure_boot == Some(true) => Err(Refusal::new(
            "hibernation-secure-boot",
            format!(
                "{} asks for hibernation (swap = \"partition:ram\"), and this machine has Secure Boot on, \
                 under which Debian's kernel refuses to hibernate",
                manifest.host
            ),
            format!(
                "switch Secure Boot off in the firmware and try again, or set [disk] swap = \"zram\" in \
                 hosts/{}.toml and build the medium again",
                manifest.host
            ),
        )),
        Swap::PartitionOfMemory if machine.memory_bytes == 0 => Err(Refusal::new(
            "memory-unknown",
            "the machine does not say how much memory it has, so swap for all of it has no size",
            "name the size: [disk] swap = \"partition:16G\"",
        )),
        // The kernel counts less than is fitted; an image of all of it must fit all the same.
        Swap::PartitionOfMemory => {
            let bytes = machine.memory_bytes.saturating_add(machine.memory_bytes / 8);
            Ok(partition(bytes.div_ceil(MIB).saturating_mul(MIB)))
        }
    }
}

/// In words, for the summary.
pub fn words(manifest: &Manifest, room: &SwapRoom) -> String {
    match manifest.install.swap {
        Swap::None => "none".into(),
        Swap::Zram => "in compressed memory".into(),
        Swap::File(_) => format!("a file of {}", human(room.file_bytes)),
        Swap::Partition(_) => format!("a partition of {}", human(room.partition_bytes)),
        Swap::PartitionOfMemory => format!("a partition of {}, to hibernate", human(room.partition_bytes)),
    }
}
