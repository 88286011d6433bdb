//! Eight bytes at a time: what each request has read of it is read in few steps.

const EACH: u64 = u64::MAX / 0xFF;
const HIGHEST: u64 = 0x80 * EACH;

/// Returns where the first byte stands, from `at` on, that `marks` marks: the length of `bytes` if there is none.
///
/// Of eight bytes, the first in the lowest place, `marks` sets the highest bit of each that it is after. It may be wrong
/// about those above the first.
#[inline(always)]
pub(crate) fn seek(bytes: &[u8], mut at: usize, marks: impl Fn(u64) -> u64) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let marked = marks(u64::from_le_bytes(*word));
        if marked != 0 {
            return at + marked.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    if at >= bytes.len() {
        return bytes.len();
    }
    let left = bytes.len() - at;
    at + (marks(last_word(bytes, left)).trailing_zeros() as usize / 8).min(left)
}

/// Returns whether `odd` holds of a byte and the one before it; `first` stands before the first. Many at a time, so that
/// `odd` is best put without branches, and with none left out: nearly all that comes here holds nothing odd.
#[inline(always)]
pub(crate) fn any_pair(first: u8, bytes: &[u8], odd: impl Fn(u8, u8) -> bool) -> bool {
    let Some(begin) = bytes.first() else { return false };
    odd(first, *begin)
        | match bytes.len() {
            17.. => any_pair_in::<16>(bytes, odd),
            9.. => any_pair_in::<8>(bytes, odd),
            _ => any_pair_in::<1>(bytes, odd),
        }
}

/// As [`any_pair`], `N` at a time: the last of them may have been looked at before.
#[inline(always)]
fn any_pair_in<const N: usize>(bytes: &[u8], odd: impl Fn(u8, u8) -> bool) -> bool {
    let (before, here) = (&bytes[..bytes.len() - 1], &bytes[1..]);
    for (before, here) in before.as_chunks::<N>().0.iter().zip(here.as_chunks::<N>().0) {
        if any_pair_of(before, here, &odd) {
            return true;
        }
    }
    if before.len() % N == 0 {
        return false;
    }
    let last = before.last_chunk::<N>().zip(here.last_chunk());
    last.is_some_and(|(before, here)| any_pair_of(before, here, odd))
}

#[inline(always)]
fn any_pair_of<const N: usize>(before: &[u8; N], here: &[u8; N], odd: impl Fn(u8, u8) -> bool) -> bool {
    let mut found = [0; N];
    for at in 0..N {
        found[at] = u8::from(odd(before[at], here[at]));
    }
    found != [0; N]
}

/// Returns the last `left` bytes, fewer than eight, as a word: from the last eight of all, where there are so many.
#[inline(always)]
fn last_word(bytes: &[u8], left: usize) -> u64 {
    match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - left)),
        None => bytes.iter().rev().take(left).fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Returns whether `a` and `b` are the same bytes, as `==` does. Names are seldom longer than 32, and then their first
/// and their last bytes are all of them: less work than to call what compares texts of any length.
#[inline(always)]
pub(crate) fn are_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && if a.len() > 32 {
            a == b
        } else if a.len() >= 16 {
            have_equal_ends::<16>(a, b)
        } else if a.len() >= 8 {
            have_equal_ends::<8>(a, b)
        } else if a.len() >= 4 {
            have_equal_ends::<4>(a, b)
        } else {
            // One by one: no call, for which whoever compares would have to put everything else aside.
            a.iter().zip(b).all(|(a, b)| a == b)
        }
}

#[inline(always)]
fn have_equal_ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    (a.first_chunk::<N>() == b.first_chunk()) & (a.last_chunk::<N>() == b.last_chunk())
}

/// Returns whether `bytes` are labels of lower-case letters and digits, each of which begins with a letter, with one dot
/// between two of them.
#[inline(always)]
pub(crate) fn are_plain_labels(bytes: &[u8]) -> bool {
    let odd = |before: u8, byte: u8| {
        let inside = (before != b'.') & (byte.is_ascii_digit() | (byte == b'.'));
        !(byte.is_ascii_lowercase() | inside)
    };
    !any_pair(b'.', bytes, odd) && bytes.last().is_some_and(|byte| *byte != b'.')
}

/// Marks the bytes of `low` from `first` to `last`. All are below 0x80; below each mark there is rubbish.
#[inline(always)]
fn between(low: u64, first: u8, last: u8) -> u64 {
    // Sums of seven bits carry into the highest bit of their own byte, and no further.
    let at_least = |byte: u8| low + u64::from(0x80 - byte) * EACH;
    at_least(first) & !at_least(last + 1)
}

/// Marks each byte that is neither a lower-case letter nor a digit.
#[inline(always)]
pub(crate) fn others(word: u64) -> u64 {
    let low = word & !HIGHEST;
    (!(between(low, b'a', b'z') | between(low, b'0', b'9')) | word) & HIGHEST
}

/// Marks each byte that is one of `sought`; above the first of them perhaps others.
#[inline(always)]
pub(crate) fn any_of<const N: usize>(word: u64, sought: [u8; N]) -> u64 {
    let mut marked = 0;
    for byte in sought {
        // Zero where the byte stands. A borrow leaves a zero byte, and so reaches only what stands above one.
        let differs = word ^ (u64::from(byte) * EACH);
        marked |= differs.wrapping_sub(EACH) & !differs;
    }
    marked & HIGHEST
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_048))]

        #[test]
        fn eight_at_a_time_finds_what_one_at_a_time_finds(
            bytes in prop::collection::vec(any::<u8>().prop_map(|byte| if byte < 0xE0 { b'a' + byte % 26 } else { byte }), 0..40),
            sought in any::<[u8; 3]>(),
            at in 0_usize..40,
        ) {
            let at = at.min(bytes.len());
            let first = |found: &dyn Fn(&u8) -> bool| bytes[at..].iter().position(found).map_or(bytes.len(), |offset| at + offset);
            let other = |byte: &u8| !matches!(byte, b'a'..=b'z' | b'0'..=b'9');
            prop_assert_eq!(seek(&bytes, at, others), first(&other));
            let one_of = |byte: &u8| sought.contains(byte);
            prop_assert_eq!(seek(&bytes, at, |word| any_of(word, sought)), first(&one_of));
        }
    }

    fn are_plain_one_by_one(bytes: &[u8]) -> bool {
        bytes.split(|byte| *byte == b'.').all(|label| {
            label.first().is_some_and(u8::is_ascii_lowercase)
                && label.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8_192))]

        #[test]
        fn plain_labels_are_told_as_one_by_one(text in "[a-c0-2.]{0,26}", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = text.into_bytes();
            prop_assert_eq!(are_plain_labels(&bytes), are_plain_one_by_one(&bytes), "{:?}", bytes.escape_ascii());
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            prop_assert_eq!(are_plain_labels(&bytes), are_plain_one_by_one(&bytes), "{:?}", bytes.escape_ascii());
        }

        #[test]
        fn equal_bytes_are_told_as_one_by_one(bytes in prop::collection::vec(any::<u8>(), 1..40), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut other = bytes.clone();
            prop_assert!(are_equal(&bytes, &other));
            prop_assert!(!are_equal(&bytes, &bytes[1..]) && !are_equal(&bytes[1..], &bytes));
            let at = at.index(bytes.len());
            other[at] = byte;
            prop_assert_eq!(are_equal(&bytes, &other), bytes[at] == byte);
        }

        #[test]
        fn an_odd_pair_is_found_as_one_by_one(bytes in prop::collection::vec(0_u8..4, 0..40), first in 0_u8..4) {
            let odd = |before: u8, byte: u8| (before == 1) & (byte == 2);
            let before = std::iter::once(&first).chain(&bytes);
            let found = before.zip(&bytes).any(|(before, byte)| odd(*before, *byte));
            prop_assert_eq!(any_pair(first, &bytes, odd), found);
        }

        #[test]
        fn plain_labels_pass(text in "[a-z][a-z0-9]{0,9}([.][a-z][a-z0-9]{0,9}){0,3}", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = text.into_bytes();
            prop_assert!(are_plain_labels(&bytes));
            let at = at.index(bytes.len());
            bytes[at] = byte;
            prop_assert_eq!(are_plain_labels(&bytes), are_plain_one_by_one(&bytes), "{:?}", bytes.escape_ascii());
        }
    }

    #[test]
    fn every_byte_is_told_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut bytes = [b'a'; 8];
                bytes[place] = byte;
                let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit();
                assert_eq!(seek(&bytes, 0, others), if plain { 8 } else { place }, "{byte:#04x} at {place}");
                let found = seek(&bytes, 0, |word| any_of(word, *b"/%\\"));
                assert_eq!(found, if b"/%\\".contains(&byte) { place } else { 8 }, "{byte:#04x} at {place}");
            }
        }
    }
}
