//! How a run ends: restart, power off, or words that stay on the screen.

use crate::cmdline::Cmdline;
use crate::console::Consoles;
use rustix::system::{RebootCommand, reboot};
use std::time::Duration;

/// Writes out what is pending and starts the machine again.
pub fn restart() -> ! {
    end(RebootCommand::Restart)
}

/// Writes out what is pending and powers off.
pub fn power_off() -> ! {
    end(RebootCommand::PowerOff)
}

fn end(command: RebootCommand) -> ! {
    rustix::fs::sync();
    let _ = reboot(command);
    hold()
}

/// Stays for ever: PID 1 must not end.
pub fn hold() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// A defect of ours must not look like a dead machine: it is said, and then the kernel's own
/// `panic=` decides, as for a panic of the kernel.
pub fn hook_panics(consoles: &Consoles, cmdline_text: &str) {
    let consoles = consoles.clone();
    let seconds = Cmdline::parse(cmdline_text).get("panic").and_then(|value| value.parse::<i64>().ok());
    std::panic::set_hook(Box::new(move |info| {
        consoles.set_screen_owner(None);
        consoles.say(format!("Landfall stopped because of a defect of its own: {info}"));
        consoles.say("Please report this line. Nothing more is written to any disk.");
        consoles.sentinel("FAILED", &[("step", "panic")]);
        rustix::fs::sync();
        match seconds {
            Some(wait) if wait > 0 => {
                consoles.say(format!("The machine restarts in {wait} seconds."));
                std::thread::sleep(Duration::from_secs(wait.unsigned_abs()));
                restart()
            }
            Some(wait) if wait < 0 => restart(),
            _ => hold(),
        }
    }));
}
