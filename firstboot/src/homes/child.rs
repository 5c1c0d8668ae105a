//! The child: it runs as the user, so whatever links and folders the user made, it can reach
//! nothing that the user cannot.

use super::apply::Applier;
use super::order::{LIMIT_BYTES, decode};
use crate::error::{Error, Result};
use std::io::{Read, Write};

/// Reads the order from stdin, applies it and says what it did on stdout.
pub fn run() -> Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(LIMIT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("reading the order for a home"))?;
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(Error::bad("the order for a home", "it is too large"));
    }
    let (order, contents) = decode(&bytes)?;
    // What the files' own modes say holds, not what the caller's mask was.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let answer = Applier::new(order).run(&contents);
    let text = serde_json::to_vec(&answer)
        .map_err(|error| Error::Refused(format!("answering for a home: {error}")))?;
    std::io::stdout().write_all(&text).map_err(Error::io("answering for a home"))
}
