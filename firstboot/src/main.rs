//! First boot and the running machine: identity, secrets, tailnet, homes, health.

fn main() {}
