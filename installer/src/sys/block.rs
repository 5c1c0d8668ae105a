//! Block device ioctls (`linux/fs.h`).

use rustix::io::Result;
use rustix::ioctl::{Getter, NoArg, Setter, ioctl, opcode};
use std::ffi::c_int;
use std::os::fd::AsFd;

const BLKROSET: rustix::ioctl::Opcode = opcode::none(0x12, 93);
const BLKRRPART: rustix::ioctl::Opcode = opcode::none(0x12, 95);
const BLKFLSBUF: rustix::ioctl::Opcode = opcode::none(0x12, 97);
const BLKGETSIZE64: rustix::ioctl::Opcode = opcode::read::<usize>(0x12, 114);

/// Makes the kernel read the partition table again.
pub fn reread_partitions(disk: impl AsFd) -> Result<()> {
    // SAFETY: BLKRRPART takes no argument and touches no memory of ours.
    unsafe { ioctl(disk, NoArg::<BLKRRPART>::new()) }
}

/// Makes the kernel refuse or allow writes to a block device.
pub fn set_read_only(device: impl AsFd, on: bool) -> Result<()> {
    // SAFETY: BLKROSET reads one int from the address that it is given.
    unsafe { ioctl(device, Setter::<BLKROSET, c_int>::new(c_int::from(on))) }
}

/// Drops the kernel's cached blocks of a device, so that the next read comes from the device.
pub fn flush_buffers(disk: impl AsFd) -> Result<()> {
    // SAFETY: BLKFLSBUF takes no argument and touches no memory of ours.
    unsafe { ioctl(disk, NoArg::<BLKFLSBUF>::new()) }
}

/// Size of a block device in bytes.
pub fn size_bytes(disk: impl AsFd) -> Result<u64> {
    // SAFETY: BLKGETSIZE64 writes one u64 to the address that it is given.
    unsafe { ioctl(disk, Getter::<BLKGETSIZE64, u64>::new()) }
}
