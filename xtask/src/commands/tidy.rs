//! `cargo xtask tidy`: the house rules that no compiler holds.

use super::Outcome;
use crate::{tidy, workspace};

/// Prints every broken rule of every tracked file, and fails if there is one.
pub fn run(_arguments: &[String]) -> Outcome {
    let complaints = tidy::check(&workspace::root())?;
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        count => Err(format!("{count} house rules are broken (see above)").into()),
    }
}
