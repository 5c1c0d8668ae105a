//! The installer and stage 1: `/init` of medium and machine.
//!
//! Data flows one way: probe → facts → plan (or a worded refusal) → effects → report. Nothing is
//! decided after the first destructive step.

pub mod cmdline;
pub mod console;
pub mod context;
pub mod ending;
pub mod error;
pub mod install;
pub mod kernel_log;
pub mod keyboard;
pub mod luks;
pub mod modules;
pub mod mounts;
pub mod nvram;
pub mod probe;
pub mod roots;
pub mod run;
pub mod stage1;
pub mod sys;
pub mod table;
pub mod tools;
pub mod tree;
pub mod uevent;
pub mod watchdog;

pub use landfall_probe::bytes;
