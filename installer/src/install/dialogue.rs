//! Questions to a person before anything is written. The console on which Enter is pressed first
//! has the dialogue from then on; the others go on showing what is said.

use super::prompt::{self, Question};
use crate::console::{Console, Consoles, Kind};
use crate::context::Context;
use crate::ending;
use age::secrecy::{ExposeSecret, SecretString};
use console::Term;
use dialoguer::{Input, Select};
use rustix::termios::{QueueSelector, tcflush};

/// What goes back, in lists and where a word is typed.
pub const BACK: &str = "back";
/// Shorter passphrases are advised against.
pub const ADVISED_CHARACTERS: usize = 12;

/// What a person said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<T> {
    /// An answer.
    Given(T),
    /// The question before, please.
    Back,
}

/// The dialogue with whoever is at a console.
#[derive(Debug)]
pub struct Dialogue<'a> {
    context: &'a Context,
    console: Option<&'a Console>,
}

impl<'a> Dialogue<'a> {
    /// Nobody has answered yet.
    pub fn new(context: &'a Context) -> Self {
        Self { context, console: None }
    }

    /// Where everybody sees it.
    pub fn consoles(&self) -> &'a Consoles {
        &self.context.consoles
    }

    /// Nobody is there: nothing may be asked.
    pub fn is_unattended(&self) -> bool {
        self.context.cmdline.unattended()
    }

    /// One of `items`, by its index. `step` names the question for scripts and tests.
    pub fn choose(&mut self, step: &str, title: &str, items: &[String]) -> Reply<usize> {
        let number = self.ask(step, |term| {
            let select = Select::new().with_prompt(title).items(items).item(BACK).default(0);
            // Not the form that Escape leaves: on a slow line the first byte of an arrow key is one.
            select.interact_on(term)
        });
        if number < items.len() { Reply::Given(number) } else { Reply::Back }
    }

    /// A line that `accepts` takes; asked until it does.
    pub fn typed(&mut self, step: &str, question: &str, accepts: impl Fn(&str) -> bool) -> Reply<String> {
        loop {
            let line = self.ask(step, |term| {
                Input::<String>::new().with_prompt(question).allow_empty(true).interact_text_on(term)
            });
            let line = line.trim();
            if line == BACK {
                return Reply::Back;
            }
            if accepts(line) {
                return Reply::Given(line.to_owned());
            }
            self.print("That is not what was asked for.");
        }
    }

    /// A line that is not shown. Not dialoguer's: it reads through a buffer that nobody wipes.
    pub fn secret(&mut self, step: &str, question: &str) -> SecretString {
        loop {
            let console = self.console();
            let asked = Question::secret(std::slice::from_ref(console));
            self.consoles().sentinel("PROMPT", &[("step", step)]);
            if let Some(secret) = asked.answer(question) {
                return secret;
            }
            self.lost(console);
        }
    }

    /// A passphrase that is new: typed twice, with advice where it is short. Enter alone goes back.
    pub fn new_secret(&mut self, step: &str, question: &str) -> Reply<SecretString> {
        loop {
            let first = self.secret(step, &format!("{question} (Enter alone: back):"));
            if first.expose_secret().is_empty() {
                return Reply::Back;
            }
            let short = first.expose_secret().chars().count() < ADVISED_CHARACTERS;
            if short {
                self.print(&format!(
                    "That is short: who holds the disk can try many. {ADVISED_CHARACTERS} characters or \
                     four words are advised."
                ));
            }
            let again =
                if short { "The same once more (Enter alone: another one):" } else { "The same once more:" };
            let second = self.secret(step, again);
            if first.expose_secret() == second.expose_secret() {
                return Reply::Given(first);
            }
            self.print("The two are not the same. Once more:");
        }
    }

    /// Lines on the console that has the dialogue, in the form that suits it, and nowhere else: not
    /// in the log either.
    pub fn show(&mut self, page: &dyn Fn(Kind) -> Vec<String>) {
        let console = self.console();
        page(console.kind).iter().for_each(|line| console.print(line));
    }

    /// Empties the screen, and what can be scrolled back to (console_codes(4)).
    pub fn clear(&mut self) {
        let console = self.console();
        if console.kind == Kind::Screen {
            console.print("\x1b[H\x1b[2J\x1b[3J");
        }
    }

    /// One line on the console that has the dialogue, and nowhere else.
    fn print(&mut self, line: &str) {
        self.console().print(line);
    }

    /// Asks on the console that has the dialogue; where it is gone, on whichever answers next.
    fn ask<T>(&mut self, step: &str, question: impl Fn(&Term) -> dialoguer::Result<T>) -> T {
        loop {
            let console = self.console();
            // What was typed before the question is no answer to it.
            let _ = tcflush(&*console.file(), QueueSelector::IFlush);
            self.consoles().sentinel("PROMPT", &[("step", step)]);
            match on(console, &question) {
                Ok(answer) => return answer,
                Err(_) => self.lost(console),
            }
        }
    }

    fn lost(&mut self, console: &Console) {
        console.reopen();
        self.console = None;
    }

    fn console(&mut self) -> &'a Console {
        if let Some(console) = self.console {
            return console;
        }
        let consoles = self.consoles();
        let console = match consoles.list() {
            [only] => only,
            all => {
                consoles.print("Press Enter on the console where you want to answer.");
                consoles.sentinel("PROMPT", &[("step", "console")]);
                prompt::answering(all).unwrap_or_else(|| ending::hold())
            }
        };
        consoles.print(&format!("The questions are asked on {}.", console.name));
        self.console = Some(console);
        console
    }
}

/// Ctrl-C, an end of file and a line that was hung up are errors here.
fn on<T>(console: &Console, question: impl Fn(&Term) -> dialoguer::Result<T>) -> dialoguer::Result<T> {
    let file = console.file();
    // The terminal crate reads keys from standard input, whatever terminal it was given.
    rustix::stdio::dup2_stdin(&*file).map_err(std::io::Error::from)?;
    question(&Term::read_write_pair(file.try_clone()?, file.try_clone()?))
}
