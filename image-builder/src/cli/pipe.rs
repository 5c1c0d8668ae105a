//! A reader that has seen enough, as `head`, is no fault of the program before it in the pipe.

use std::panic;

/// What the standard library panics with where standard output takes no more; `EPIPE` follows.
const CLOSED: &str = "failed printing to stdout: Broken pipe";

/// 128 and the number of SIGPIPE: what a shell says of a program that a closed pipe has ended.
const STATUS: i32 = 141;

/// Lets the command end without a word when the reader of its standard output has gone. Rust
/// programs ignore SIGPIPE, and `println!` panics instead (Rust's `library/std/src/io/stdio.rs`).
pub fn may_close() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let said = info.payload().downcast_ref::<String>();
        if said.is_some_and(|said| said.starts_with(CLOSED)) {
            std::process::exit(STATUS);
        }
        usual(info);
    }));
}
