//! Kernel uevents: devices that appear after the first walk over sysfs.

use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// One event (kernel, `Documentation/ABI`; `ACTION@DEVPATH` and then `KEY=VALUE`, each with a NUL).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uevent {
    /// `add`, `remove`, `change` …
    pub action: String,
    /// `block`, `usb` …
    pub subsystem: String,
    /// What to load for it.
    pub modalias: Option<String>,
}

impl Uevent {
    /// Reads one message; `None` for what is not a kernel uevent.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = message.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part));
        let head = parts.next()?;
        if !head.contains('@') {
            return None;
        }
        let mut event = Self::default();
        for part in parts {
            match part.split_once('=') {
                Some(("ACTION", value)) => event.action = value.to_owned(),
                Some(("SUBSYSTEM", value)) => event.subsystem = value.to_owned(),
                Some(("MODALIAS", value)) => event.modalias = Some(value.to_owned()),
                _ => {}
            }
        }
        (!event.action.is_empty()).then_some(event)
    }
}

/// The kernel's uevent socket.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Listens from now on.
    pub fn open() -> Result<Self> {
        let doing = "listening for the kernel's device events";
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(KOBJECT_UEVENT),
        )
        .map_err(Error::io(doing))?;
        // A burst of devices must not overflow the queue while a module loads.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20);
        // Group 1 is the kernel's own messages; udev's are 2.
        bind(&socket, &SocketAddrNetlink::new(0, 1)).map_err(Error::io(doing))?;
        Ok(Self(socket))
    }

    /// The next event within `wait`; `None` when nothing came.
    pub fn next(&self, wait: Duration) -> Option<Uevent> {
        let timeout = Timespec::try_from(wait).ok()?;
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        if poll(&mut fds, Some(&timeout)).ok()? == 0 {
            return None;
        }
        let mut buffer = [0u8; 16 * 1024];
        // An overflow (ENOBUFS) only costs events; the caller's own look at sysfs makes up for it.
        let (length, _) = recv(&self.0, &mut buffer[..], RecvFlags::empty()).ok()?;
        Uevent::parse(buffer.get(..length)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_disk() {
        let event = Uevent::parse(
            b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=usb\0MODALIAS=usb:v1\0",
        )
        .unwrap();
        assert_eq!(event.action, "add");
        assert_eq!(event.modalias.as_deref(), Some("usb:v1"));
    }

    #[test]
    fn noise_is_nothing() {
        for noise in [&b""[..], b"libudev\0\xfe\xed", b"add@/x", b"\0\0\0", b"\xff@\xff\0=\0==\0ACTION"] {
            assert_eq!(Uevent::parse(noise), None, "{noise:?}");
        }
    }
}
