//! First boot and the running machine: identity, secrets, tailnet, homes, health.

pub mod accounts;
pub mod boot;
pub mod cli;
pub mod console;
pub mod disk_key;
pub mod error;
pub mod files;
pub mod homes;
pub mod lost;
pub mod machine;
pub mod network;
pub mod persist;
pub mod roots;
pub mod secrets;
pub mod status;
pub mod steps;
pub mod systemd;
pub mod tools;
pub mod units;
