//! Rules that were tried, and what decided.

use serde::{Deserialize, Serialize};

/// A rule that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// What it asks.
    pub rule: String,
    /// It holds.
    pub holds: bool,
    /// The facts that decided, where the rule can say them.
    pub facts: String,
}

impl Tried {
    /// A rule, and the facts that made it hold; without facts it does not.
    pub fn new(rule: &str, facts: Option<String>) -> Self {
        Self { rule: rule.to_owned(), holds: facts.is_some(), facts: facts.unwrap_or_default() }
    }
}

/// An answer, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The answer.
    pub answer: String,
    /// The facts that decided.
    pub because: Vec<String>,
    /// Every rule up to the one that decided.
    pub tried: Vec<Tried>,
}
