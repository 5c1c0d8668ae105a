//! Debian archives: mirrors, signatures, indices, .debs, the tools root and the solver.

pub mod run;
