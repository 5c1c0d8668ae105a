//! The few calls that the safe wrappers do not have: fork, unshare, exec and one ioctl.
#![allow(unsafe_code)]

use rustix::process::Pid;
use rustix::thread::UnshareFlags;
use std::ffi::{CStr, CString, c_char, c_int};
use std::io;

/// Forks; the child runs `child` and leaves with the status that it returns.
///
/// The child is a copy of a process that may have had other threads, so `child` must not take a
/// lock that another thread can hold: it works on values prepared before the fork and makes
/// system calls (glibc keeps its allocator usable after fork(2), see its `atfork` handlers).
pub fn fork_child(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: fork has no memory preconditions; what the child may do is the contract above, and
    // it never returns into the caller's frames because of `_exit`.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let status = child();
            // SAFETY: `_exit` ends the process without running atexit handlers or destructors.
            unsafe { libc::_exit(status) }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork returned no process id")),
    }
}

/// Moves this thread into fresh namespaces. Never used with `UnshareFlags::FILES`.
pub fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    let flags = flags.difference(UnshareFlags::FILES);
    // SAFETY: descriptor tables stay shared, which is the only hazard that the wrapper names.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// An argument or environment vector as execve(2) wants it.
pub struct ExecVector {
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

impl ExecVector {
    /// Keeps the strings alive beside the pointers to them.
    pub fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<*const c_char> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self { pointers, _strings: strings }
    }
}

/// Replaces this process by `program`; returns only if that failed.
pub fn exec(program: &CStr, argv: &ExecVector, env: &ExecVector) -> rustix::io::Errno {
    // SAFETY: both vectors end with a null pointer and own the strings that they point to.
    unsafe { libc::execve(program.as_ptr(), argv.pointers.as_ptr(), env.pointers.as_ptr()) };
    last_errno()
}

/// Brings the loopback interface of this network namespace up (netdevice(7), `SIOCSIFFLAGS`).
pub fn loopback_up(socket: c_int) -> rustix::io::Result<()> {
    // SAFETY: an all-zero ifreq is valid: it holds integers and byte arrays only.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the kernel reads one ifreq, which lives on this stack frame.
    if unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &request) } == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn last_errno() -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(rustix::io::Errno::IO)
}
