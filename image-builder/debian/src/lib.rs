//! Debian archives: mirrors, signatures, indices, .debs, the tools root and the solver.
