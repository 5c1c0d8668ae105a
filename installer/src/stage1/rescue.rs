//! When a generation cannot be started: words, and another entry's turn.

use crate::context::Context;
use crate::error::Error;
use crate::{ending, nvram};
use std::time::Duration;

/// Long enough to read a line, short enough for a machine that nobody watches.
const PAUSE: Duration = Duration::from_secs(30);

/// Says why. An entry that is counted restarts, so that the boot loader comes to an older one;
/// else the words stay. No shell: whoever stands here need not be the owner.
pub fn give_up(context: &Context, error: &Error) -> ! {
    let consoles = &context.consoles;
    consoles.say("");
    consoles.say("Landfall could not start this generation.");
    consoles.say(format!("Why: {}", error.chain()));
    consoles.sentinel("FAILED", &[("step", "stage1")]);
    if nvram::loader_text(&context.roots, "LoaderBootCountPath").is_some() {
        consoles.say(format!(
            "This boot entry is on trial. The machine restarts in {} seconds; after its tries the last \
             good one starts.",
            PAUSE.as_secs()
        ));
        std::thread::sleep(PAUSE);
        ending::restart();
    }
    consoles.say(
        "What to do: restart and choose an older entry in the boot menu, or start the installation \
         medium, whose shell can repair this disk. There is no shell here: this disk's data is for \
         its owner.",
    );
    consoles.say("Hold the power button to switch off.");
    ending::hold()
}
