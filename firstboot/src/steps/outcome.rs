//! What an attempt at a step comes to.

/// How a step's attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All is as declared; in words.
    Done(String),
    /// A person must do something first.
    Waiting(String),
    /// It will come by itself.
    Pending(String),
}
