//! Questions on every console at once: the first that answers counts. Plain lines, because the
//! terminal crates read keys from one standard input and cannot wait for several consoles.

use super::refusal::Stop;
use crate::console::Console;
use crate::context::Context;
use crate::error::Error;
use crate::{ending, tools};
use age::secrecy::SecretString;
use landfall_hosts::report::Outcome;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Longest line that is taken.
const MAX_LINE_BYTES: usize = 4096;

/// What a person may do after a refusal.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// From the start.
    Again,
    /// List the disks and what is on them.
    Disks,
    /// Write the report of this outcome to the medium.
    Report(Outcome),
    /// A root shell.
    Shell,
    /// Start the machine again.
    Restart,
    /// Switch it off.
    PowerOff,
}

/// Asks until one of the choices is made.
pub fn after_stop(context: &Context, stop: &Stop, shell: bool) -> Choice {
    let mut choices = Vec::new();
    if !matches!(stop, Stop::AlreadyDone { .. }) {
        choices.push((Choice::Again, "try again"));
    }
    choices.push((Choice::Disks, "show the disks"));
    if let Some(outcome) = stop.outcome() {
        choices.push((Choice::Report(outcome), "save the report to the medium"));
    }
    if shell {
        choices.push((Choice::Shell, "a shell"));
    }
    choices.push((Choice::Restart, "restart"));
    choices.push((Choice::PowerOff, "power off"));
    let words: Vec<&str> = choices.iter().map(|(_, words)| *words).collect();
    if !shell {
        context.consoles.print("No shell: the medium still holds a bare identity.");
    }
    let number = menu(context, "What now?", &words);
    choices.into_iter().nth(number).map_or(Choice::Again, |(choice, _)| choice)
}

/// Asks for one of `items`; gives its index.
pub fn menu(context: &Context, title: &str, items: &[&str]) -> usize {
    loop {
        let question = Question::open(context.consoles.list());
        context.consoles.print("");
        context.consoles.print(title);
        for (number, item) in items.iter().enumerate() {
            context.consoles.print(&format!("  {}) {item}", number + 1));
        }
        context.consoles.sentinel("PROMPT", &[]);
        let answer = question.line("Number and Enter:").unwrap_or_else(|| ending::hold());
        match answer.trim().parse::<usize>() {
            Ok(number) if (1..=items.len()).contains(&number) => return number - 1,
            _ => context.consoles.print("That is not one of the numbers."),
        }
    }
}

/// A question, from before its words: what was typed until now is no answer to it and is thrown away, and what is
/// typed from now on counts. A secret is not shown from here on either, so whoever answers as soon as the question
/// or its sentinel appears loses nothing and shows nothing.
pub struct Question<'a> {
    consoles: &'a [Console],
    secret: bool,
}

impl<'a> Question<'a> {
    /// One whose answer is shown while it is typed.
    fn open(consoles: &'a [Console]) -> Self {
        Self::new(consoles, false)
    }

    /// One whose answer is not shown.
    pub fn secret(consoles: &'a [Console]) -> Self {
        Self::new(consoles, true)
    }

    fn new(consoles: &'a [Console], secret: bool) -> Self {
        for console in consoles {
            if secret {
                echo(console, false);
            }
            let _ = tcflush(&*console.file(), QueueSelector::IFlush);
        }
        Self { consoles, secret }
    }

    /// Asks for a secret; none where all consoles are gone.
    pub fn answer(self, words: &str) -> Option<SecretString> {
        self.line(words).map(|text| SecretString::from(text.as_str()))
    }

    /// The line of whichever console answers.
    fn line(self, words: &str) -> Option<Zeroizing<String>> {
        self.consoles.iter().for_each(|console| console.print(words));
        let bytes = read_line(self.consoles).map(Zeroizing::new)?;
        let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
        Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if self.secret {
            self.consoles.iter().for_each(|console| echo(console, true));
        }
    }
}

fn echo(console: &Console, on: bool) {
    let file = console.file();
    if let Ok(mut settings) = tcgetattr(&*file) {
        settings.local_modes.set(LocalModes::ECHO, on);
        // The end of a line is shown, or the next text would stand on the same one.
        settings.local_modes.set(LocalModes::ECHONL, !on);
        let _ = tcsetattr(&*file, OptionalActions::Now, &settings);
    }
}

fn read_line(consoles: &[Console]) -> Option<Vec<u8>> {
    let mut open: Vec<Arc<File>> = consoles.iter().map(Console::file).collect();
    while !open.is_empty() {
        let events = wait(&open)?;
        let mut left = Vec::new();
        for (file, event) in open.into_iter().zip(events) {
            if event.contains(PollFlags::IN) {
                let mut buffer = vec![0u8; MAX_LINE_BYTES];
                match (&*file).read(&mut buffer) {
                    Ok(length) if length > 0 => {
                        buffer.truncate(length);
                        return Some(buffer);
                    }
                    // An end of file: nobody is at this console any more.
                    _ => {}
                }
            } else if event.is_empty() {
                left.push(file);
            }
        }
        open = left;
    }
    None
}

/// Waits until one of the files has something; gives what each has.
fn wait(files: &[Arc<File>]) -> Option<Vec<PollFlags>> {
    let mut fds: Vec<PollFd<'_>> = files.iter().map(|file| PollFd::new(&**file, PollFlags::IN)).collect();
    poll(&mut fds, None).ok()?;
    Some(fds.iter().map(PollFd::revents).collect())
}

/// A shell on the console that a person chooses by answering there.
pub fn shell(context: &Context) {
    let consoles = &context.consoles;
    let Some(program) = tools::find("sh") else {
        consoles.say("This initrd carries no shell.");
        return;
    };
    consoles.print("The shell comes to the console where Enter is pressed now. Type exit to come back.");
    let Some(console) = answering(consoles.list()) else {
        return;
    };
    let mut command = Command::new(program);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/").env("PS1", "landfall# ");
    let ended = crate::sys::on_terminal(&mut command, &console.file()).and_then(|()| command.status());
    console.reopen();
    if let Err(error) = ended {
        consoles.say(Error::io("starting a shell")(error).chain());
    }
    reap();
}

/// The console on which Enter is pressed first.
pub fn answering(consoles: &[Console]) -> Option<&Console> {
    let files: Vec<Arc<File>> = consoles.iter().map(Console::file).collect();
    let pressed = wait(&files)?.iter().position(|event| event.contains(PollFlags::IN))?;
    let console = consoles.get(pressed)?;
    let _ = tcflush(&*console.file(), QueueSelector::IFlush);
    Some(console)
}

/// Takes what the shell left behind: PID 1 inherits every orphan.
fn reap() {
    use rustix::process::{WaitOptions, wait};
    while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
}
