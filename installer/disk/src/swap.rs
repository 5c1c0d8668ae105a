//! The first page of a swap partition or file, as mkswap(8) writes it (Linux, `include/linux/swap.h`,
//! `union swap_header`).

/// Bytes of a page on every machine that Landfall installs.
pub const PAGE_BYTES: usize = 4096;
/// Label of swap that Landfall makes.
pub const SWAP_LABEL: &str = "landfall-swap";

const MAGIC: &[u8; 10] = b"SWAPSPACE2";
/// What stands in the magic's place while a hibernated machine lies there (Linux,
/// `kernel/power/swap.c`, `HIBERNATE_SIG`).
const HIBERNATED: &[u8; 9] = b"S1SUSPEND";
const MAGIC_AT: usize = PAGE_BYTES - MAGIC.len();

/// What the first page of swap says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapSeen {
    /// Swap of so many bytes.
    Swap(u64),
    /// Swap that holds a hibernated machine.
    Hibernated,
    /// Something else.
    Other,
}

/// The first page of swap space of `bytes` bytes; a multiple of the page is used.
pub fn swap_header(bytes: u64, uuid: [u8; 16]) -> [u8; PAGE_BYTES] {
    let mut page = [0u8; PAGE_BYTES];
    let last = (bytes / PAGE_BYTES as u64).saturating_sub(1);
    let last = u32::try_from(last).unwrap_or(u32::MAX);
    put(&mut page, 1024, &1u32.to_le_bytes());
    put(&mut page, 1028, &last.to_le_bytes());
    put(&mut page, 1036, &uuid);
    put(&mut page, 1052, SWAP_LABEL.as_bytes());
    put(&mut page, MAGIC_AT, MAGIC);
    page
}

fn put(page: &mut [u8; PAGE_BYTES], at: usize, bytes: &[u8]) {
    if let Some(place) = page.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// What a first page says; a short one is something else.
pub fn swap_seen(page: &[u8]) -> SwapSeen {
    let Some(magic) = page.get(MAGIC_AT..PAGE_BYTES) else {
        return SwapSeen::Other;
    };
    let last = crate::read::u32_at(page, 1028).unwrap_or(0);
    match magic {
        magic if magic == MAGIC => SwapSeen::Swap((u64::from(last) + 1) * PAGE_BYTES as u64),
        magic if magic.starts_with(HIBERNATED) => SwapSeen::Hibernated,
        _ => SwapSeen::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_it_was_made_for() {
        let mut page = swap_header(1 << 30, [7; 16]);
        assert_eq!(swap_seen(&page), SwapSeen::Swap(1 << 30));
        assert_eq!(crate::signature::in_head(&page).unwrap().kind, "swap");
        page[MAGIC_AT..MAGIC_AT + 9].copy_from_slice(HIBERNATED);
        assert_eq!(swap_seen(&page), SwapSeen::Hibernated);
        assert_eq!(swap_seen(&page[..100]), SwapSeen::Other);
        assert_eq!(swap_seen(&[0; PAGE_BYTES]), SwapSeen::Other);
        assert_eq!(swap_seen(&swap_header(u64::MAX, [0; 16])), SwapSeen::Swap((1 << 32) * 4096));
    }
}
