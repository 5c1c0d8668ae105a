//! The installer and stage 1: /init of medium and machine.
