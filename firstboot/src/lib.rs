//! First boot and the running machine: identity, secrets, tailnet, homes, health.

pub mod accounts;
pub mod error;
pub mod files;
pub mod machine;
pub mod roots;
pub mod secrets;
pub mod systemd;
pub mod tools;
pub mod units;
