//! Questions at the terminal, or answers from a pipe, a line each.

use super::Question;
use crate::error::{Error, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{Read, Stdin, stdin};
use zeroize::Zeroizing;

/// Longest line that is taken.
const MOST_BYTES: usize = 512;

/// Asks on stderr and reads stdin, without showing what is typed. A new PIN is asked for twice where a
/// person types it.
pub fn at_terminal(question: Question) -> Result<Zeroizing<String>> {
    let stdin = stdin();
    let (text, least) = match question {
        Question::Key => ("Passphrase or recovery key of the disk:", 1),
        Question::Pin => ("PIN of the disk:", 1),
        Question::NewPin => ("New PIN of the disk:", super::LEAST_OF_PIN),
    };
    let answer = hidden(&stdin, text)?;
    if answer.chars().count() < least {
        return Err(Error::Refused(format!("{text} fewer than {least} characters were given; try again")));
    }
    if question == Question::NewPin && isatty(&stdin) && *hidden(&stdin, "The same once more:")? != *answer {
        return Err(Error::Refused("New PIN of the disk: the two are not the same; try again".into()));
    }
    Ok(answer)
}

fn hidden(stdin: &Stdin, question: &str) -> Result<Zeroizing<String>> {
    eprint!("{question} ");
    let _quiet = Quiet::new(stdin);
    let line = line(&mut stdin.lock())?;
    eprintln!();
    Ok(line)
}

/// One byte at a time: what stands behind the line is the next answer.
fn line(from: &mut impl Read) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    let mut byte = [0];
    while bytes.len() <= MOST_BYTES && from.read(&mut byte).map_err(Error::io("reading an answer"))? == 1 {
        if byte == *b"\n" {
            break;
        }
        bytes.extend(byte);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if bytes.len() <= MOST_BYTES => Ok(Zeroizing::new(text.trim_end_matches('\r').to_owned())),
        _ => Err(Error::Refused(format!("reading an answer: it is no text of at most {MOST_BYTES} bytes"))),
    }
}

/// A terminal that does not show what is typed, for as long as the value lives.
struct Quiet<'a>(&'a Stdin, Termios);

impl<'a> Quiet<'a> {
    fn new(stdin: &'a Stdin) -> Option<Self> {
        let settings = tcgetattr(stdin).ok()?;
        let mut quiet = settings.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin, OptionalActions::Flush, &quiet).ok()?;
        Some(Self(stdin, settings))
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.0, OptionalActions::Now, &self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_lines_and_a_flood_or_noise_is_refused() {
        let mut from = "erste\r\nzweite".as_bytes();
        assert_eq!(*line(&mut from).unwrap(), "erste");
        assert_eq!(*line(&mut from).unwrap(), "zweite");
        assert_eq!(*line(&mut from).unwrap(), "");
        assert!(line(&mut [b'x'; 2000].as_slice()).is_err());
        assert!(line(&mut [0xff, 0xfe].as_slice()).is_err());
    }
}
