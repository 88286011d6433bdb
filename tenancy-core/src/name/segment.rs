//! A tenant's id as one segment of a path: on disk, in a bucket, behind a CDN.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::part::with_id_bytes;
use crate::TenantId;

/// Segments that would be longer are hashed: file systems take 255 bytes.
const MAX_LEN: usize = 200;

/// Returns the segment of `id`: lower-case letters, digits and `_.-` as they are, all else as `=XX`.
///
/// Different ids give different segments, also where a file system does not tell upper case from lower case. No segment
/// is `.` or `..`, or a name that Windows gives to devices.
pub(super) fn of(id: &TenantId) -> String {
    with_id_bytes(id, encode)
}

fn encode(id: &[u8]) -> String {
    let mut segment = String::with_capacity(id.len());
    let first_is_escaped = is_special(id);
    for (at, byte) in id.iter().enumerate() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
        match plain && (at > 0 || !first_is_escaped) {
            true => segment.push(char::from(*byte)),
            false => push_hex(&mut segment, "=", *byte),
        }
    }
    if segment.len() > MAX_LEN || segment.is_empty() {
        return Sha256::digest(id).iter().fold(String::from("=h"), |mut segment, byte| {
            push_hex(&mut segment, "", *byte);
            segment
        });
    }
    segment
}

fn push_hex(segment: &mut String, before: &str, byte: u8) {
    write!(segment, "{before}{byte:02X}").expect("a text takes everything");
}

/// Dots alone, what begins with a dot, and devices of Windows, with any extension.
fn is_special(id: &[u8]) -> bool {
    let stem = id.split(|byte| *byte == b'.').next().unwrap_or_default();
    let numbered =
        |name: &[u8]| stem.len() == 4 && stem[..3].eq_ignore_ascii_case(name) && stem[3].is_ascii_digit();
    let named = [b"con", b"prn", b"aux", b"nul"].into_iter().any(|name| stem.eq_ignore_ascii_case(name));
    stem.is_empty() || named || numbered(b"com") || numbered(b"lpt")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_ids_are_their_own_segment() {
        for id in ["1", "67e55044-10b1-426f-9247-bb680e5fe0c8", "acme_corp.eu-1"] {
            assert_eq!(encode(id.as_bytes()), id);
        }
        assert_eq!(encode(b"Acme"), "=41cme");
    }

    #[test]
    fn nothing_walks_and_nothing_is_a_device() {
        // OPS-15.
        let hostile: [&[u8]; 14] = [
            b".", b"..", b"...", b"../b", b"a/b", b"a\\b", b"", b"con", b"CON", b"nul.txt", b"com1", b"\0",
            b"~", b"%2e%2e",
        ];
        for id in hostile {
            let segment = encode(id);
            assert!(segment.starts_with('=') || segment.starts_with('a'), "{segment}");
            assert!(!segment.contains(['/', '\\', '%', '\0', '~']), "{segment}");
        }
    }

    proptest! {
        #[test]
        fn different_ids_differ_even_where_case_does_not_count(ids in proptest::collection::vec("[a-cA-C._=/-]{0,3}|[aA]{250,255}", 2..60)) {
            let mut seen = HashMap::new();
            for id in ids {
                let segment = encode(id.as_bytes());
                prop_assert!(segment.len() <= 255);
                let known = seen.insert(segment.to_ascii_lowercase(), id.clone());
                prop_assert!(known.is_none_or(|known| known == id));
            }
        }
    }
}
