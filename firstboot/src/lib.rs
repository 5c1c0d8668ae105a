//! First boot and the running machine: identity, secrets, tailnet, homes, health.

pub mod accounts;
pub mod boot;
pub mod console;
pub mod error;
pub mod files;
pub mod machine;
pub mod network;
pub mod persist;
pub mod roots;
pub mod secrets;
pub mod steps;
pub mod systemd;
pub mod tools;
pub mod units;
