//! The checksum that rows and the head file carry. Owns the polynomial (CRC32C, Castagnoli, as storage uses it) and how
//! parts are kept apart.

use crc::{CRC_32_ISCSI, Crc, Table};

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The checksum of some parts; a byte that wanders from one part to the next changes it.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC32C.digest();
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_castagnoli_polynomial_and_keeps_parts_apart() {
        // The check value of RFC 3720's CRC.
        assert_eq!(CRC32C.checksum(b"123456789"), 0xe306_9283);
        assert_ne!(checksum(&[b"ab", b"c"]), checksum(&[b"a", b"bc"]));
        assert_eq!(checksum(&[b"ab", b"c"]), checksum(&[b"ab", b"c"]));
    }
}
