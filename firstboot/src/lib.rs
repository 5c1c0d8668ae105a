//! First boot and the running machine: identity, secrets, tailnet, homes, health.

pub mod units;
