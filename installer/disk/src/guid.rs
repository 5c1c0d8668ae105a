//! GUIDs: derived from a seed in images (same image, same bytes), random on machines.

use sha2::{Digest, Sha256};
pub use uuid::Uuid;

/// Derives a GUID from `seed` for the purpose named `what`.
///
/// Version 8 ("vendor specific", RFC 9562 section 5.8): the bits come from a hash, and say so.
pub fn derived(seed: &[u8], what: &str) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"landfall-guid-1\0");
    hash.update((seed.len() as u64).to_le_bytes());
    hash.update(seed);
    hash.update(what.as_bytes());
    let digest = hash.finalize();
    let mut bytes = [0u8; 16];
    for (to, from) in bytes.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Makes a version 4 GUID from 16 bytes that the caller took from a random source.
pub fn random(bytes: [u8; 16]) -> Uuid {
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_is_stable_and_differs_by_seed_and_purpose() {
        let a = derived(b"seed", "disk");
        assert_eq!(a, derived(b"seed", "disk"));
        assert_ne!(a, derived(b"seed", "esp"));
        assert_ne!(a, derived(b"seedd", "isk"));
        assert_eq!(a.get_version_num(), 8);
    }

    #[test]
    fn random_sets_the_version() {
        assert_eq!(random([0xff; 16]).get_version_num(), 4);
    }
}
