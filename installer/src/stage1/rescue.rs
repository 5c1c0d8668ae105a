//! When a generation cannot be started: words, and another entry's turn.

use super::{boot_info, data, unlock};
use crate::context::Context;
use crate::ending;
use crate::error::Error;
use crate::install::prompt;
use crate::luks::Volume;
use std::time::Duration;

/// Long enough to read a line, short enough for a machine that nobody watches.
const PAUSE: Duration = Duration::from_secs(30);
/// After a wrong key: guessing by hand is slow enough, and by a machine it must be.
const SLIP: Duration = Duration::from_secs(3);

/// Says why. An entry that is counted restarts, so that the boot loader comes to an older one;
/// else the words stay. A shell is for who can open the disk: whoever stands here need not be the
/// owner, and a plain disk has nothing to prove it by.
pub fn give_up(context: &Context, error: &Error) -> ! {
    let consoles = &context.consoles;
    consoles.say("");
    consoles.say("Landfall could not start this generation.");
    consoles.say(format!("Why: {}", error.chain()));
    consoles.sentinel("FAILED", &[("step", "stage1")]);
    if boot_info::count_path(context).is_some() {
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
         medium, whose shell can repair this disk.",
    );
    consoles.say("Hold the power button to switch off.");
    if let Some(found) = data::now(context)
        && let Ok(Some(volume)) = unlock::volume(context, &found)
    {
        shell_for_the_owner(context, &volume);
    }
    consoles.say("There is no shell here: this disk's data is for its owner.");
    ending::hold()
}

/// Comes back when no console can ask any more.
fn shell_for_the_owner(context: &Context, volume: &Volume) {
    loop {
        match unlock::is_owner(context, volume) {
            Ok(true) => prompt::shell(context),
            Ok(false) => {
                context.consoles.print("That is no key of this disk.");
                std::thread::sleep(SLIP);
            }
            Err(error) => return context.consoles.say(error.chain()),
        }
    }
}
