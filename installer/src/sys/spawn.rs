//! A program with a terminal of its own.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Gives `command` a session of its own with `terminal` as its controlling terminal, so that
/// job control and Ctrl-C work in it.
pub fn on_terminal(command: &mut Command, terminal: &File) -> io::Result<()> {
    command.stdin(terminal.try_clone()?);
    command.stdout(terminal.try_clone()?);
    command.stderr(terminal.try_clone()?);
    // SAFETY: setsid and the TIOCSCTTY ioctl are async-signal-safe and allocate nothing.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            // Standard input is the terminal by now. A terminal that is in use elsewhere stays
            // usable, only without job control.
            let _ = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin());
            Ok(())
        });
    }
    Ok(())
}
