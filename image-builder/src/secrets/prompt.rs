//! Asking a person for something that must not be shown.

use std::io::IsTerminal;

use age::secrecy::SecretString;

use super::SecretsError;

/// Who answers when a passphrase is needed. Tests answer from memory.
pub trait Prompt {
    /// Asks for `what` without echo.
    fn ask(&self, what: &str) -> Result<SecretString, SecretsError>;
    /// Asks for a new `what` twice and takes it only when both are equal.
    fn ask_new(&self, what: &str) -> Result<SecretString, SecretsError>;
}

/// The person at the terminal; the question goes to stderr, so stdout stays the result's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal;

impl Terminal {
    fn question(what: &str) -> Result<dialoguer::Password<'_>, SecretsError> {
        if !std::io::stdin().is_terminal() {
            return Err(SecretsError::NoTerminal { what: what.to_string() });
        }
        Ok(dialoguer::Password::new().with_prompt(what).report(false))
    }
}

impl Prompt for Terminal {
    fn ask(&self, what: &str) -> Result<SecretString, SecretsError> {
        let question = Self::question(what)?;
        answer(what, question)
    }

    fn ask_new(&self, what: &str) -> Result<SecretString, SecretsError> {
        let question = Self::question(what)?.with_confirmation("again", "the two differ; once more");
        answer(what, question)
    }
}

fn answer(what: &str, question: dialoguer::Password<'_>) -> Result<SecretString, SecretsError> {
    question
        .interact()
        .map(SecretString::from)
        .map_err(|error| SecretsError::Prompt { what: what.to_string(), reason: error.to_string() })
}

/// Nobody is there to ask: every question is an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Prompt for Nobody {
    fn ask(&self, what: &str) -> Result<SecretString, SecretsError> {
        Err(SecretsError::NoTerminal { what: what.to_string() })
    }

    fn ask_new(&self, what: &str) -> Result<SecretString, SecretsError> {
        self.ask(what)
    }
}
