//! Debian's archive keys, part of the program.

/// The armored certificates of `../keys`, whose README says where they are from.
pub const DEBIAN: &[&str] = &[
    include_str!("../keys/debian-archive-trixie-automatic.asc"),
    include_str!("../keys/debian-archive-trixie-security-automatic.asc"),
    include_str!("../keys/debian-archive-trixie-stable.asc"),
    include_str!("../keys/debian-archive-bookworm-automatic.asc"),
    include_str!("../keys/debian-archive-bookworm-security-automatic.asc"),
];

/// Fingerprints of the primary keys, in the same order: a certificate that is not one of these
/// does not count, whatever the file says.
pub const DEBIAN_FINGERPRINTS: &[&str] = &[
    "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
    "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
    "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
    "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
    "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
];
