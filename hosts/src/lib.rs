//! The site's schema, parsing, merging, match rules, and the types that pass between Landfall's
//! parts: the manifest of a generation, what the host layer tells the machine, the medium's index,
//! events and reports. Pure types: nothing here touches a device, spawns a process or reads a clock.

pub mod buildable;
pub mod event;
pub mod grubenv;
pub mod homes;
pub mod host;
pub mod lock;
pub mod machine;
pub mod manifest;
pub mod medium;
pub mod mounts;
pub mod paths;
pub mod profiles;
pub mod report;
pub mod rule;
pub mod signature;
pub mod site;
pub mod swap;
