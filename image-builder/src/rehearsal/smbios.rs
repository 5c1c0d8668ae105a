//! The table in which a machine says what kind of case it has; QEMU's own says nothing of the kind.

/// "Notebook" (SMBIOS reference specification 3.7, 7.4.1).
const NOTEBOOK: u8 = 10;
/// "Safe", for a state (7.4.2).
const SAFE: u8 = 3;
/// "None", for security (7.4.3).
const NO_SECURITY: u8 = 3;

/// A system enclosure that is a notebook's (7.4), for QEMU's `-smbios file=`.
pub(super) fn notebook() -> Vec<u8> {
    const STRUCTURE: u8 = 3;
    const LENGTH: u8 = 0x15;
    let handle = 0x0300_u16.to_le_bytes();
    let mut table = vec![STRUCTURE, LENGTH, handle[0], handle[1]];
    // Manufacturer is string 1; version, serial and asset tag are not given.
    table.extend([1, NOTEBOOK, 0, 0, 0]);
    table.extend([SAFE, SAFE, SAFE, NO_SECURITY]);
    // OEM-defined, height, power cords, contained elements and their size.
    table.extend([0; 8]);
    table.extend(b"Landfall\0\0");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_length_is_what_it_says() {
        let table = notebook();
        let strings = table.get(usize::from(table[1])..).unwrap();
        assert_eq!(strings, b"Landfall\0\0");
        assert_eq!(table[5], NOTEBOOK);
    }
}
