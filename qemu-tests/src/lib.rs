//! The QEMU harness and one test per promise.
