//! How a command ends when it does not end well.

use std::error::Error;

/// Why a command stopped; decides its exit status.
#[derive(Debug)]
pub enum Failure {
    /// Something went wrong while doing it: status 1.
    Failed(Box<dyn Error + Send + Sync>),
    /// Wrong usage or an invalid site: status 2.
    Invalid(String),
    /// Refused for safety: status 3.
    Refused(String),
    /// The command has already said why; only the status is left.
    Said(u8),
}

impl Failure {
    /// 1 failed, 2 wrong usage or an invalid site, 3 refused for safety.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Invalid(_) => 2,
            Failure::Refused(_) => 3,
            Failure::Said(status) => *status,
        }
    }

    /// Prints the whole chain of causes to standard error, once.
    pub fn print(&self) {
        match self {
            Failure::Said(_) => {}
            Failure::Invalid(words) | Failure::Refused(words) => eprintln!("landfall: {words}"),
            Failure::Failed(error) => eprintln!("landfall: {}", chain(error.as_ref())),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Failed(Box::new(error))
    }
}

/// An error and its causes, joined by `: `; a cause that its parent already quotes is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_quoted_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading it: {0}")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("no such file"));
        assert_eq!(chain(&error), "reading it: no such file");
    }
}
