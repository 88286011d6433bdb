//! The name that a stored value carries, so that an answer to another question is noticed (CACHE-07).
//!
//! One byte of version, the length of the name in two bytes (big endian), the name, the value. The name holds tenant
//! and generation.

const VERSION: u8 = 1;
const HEADER: usize = 3;

/// Returns `value` with the name that it is stored under.
pub(super) fn seal(name: &str, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(name.len()).expect("a name has at most 250 bytes");
    let mut sealed = Vec::with_capacity(HEADER + name.len() + value.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&len.to_be_bytes());
    sealed.extend_from_slice(name.as_bytes());
    sealed.extend_from_slice(value);
    sealed
}

/// Returns the value in `sealed` if it is stored under `name`.
pub(super) fn open(mut sealed: Vec<u8>, name: &str) -> Option<Vec<u8>> {
    let [VERSION, high, low, rest @ ..] = sealed.as_slice() else { return None };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    if rest.get(..len)? != name.as_bytes() {
        return None;
    }
    sealed.drain(..HEADER + len);
    Some(sealed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_opens_under_its_own_name_alone(name in "[ -~]{0,250}", other in "[ -~]{0,250}", value: Vec<u8>) {
            let sealed = seal(&name, &value);
            prop_assert_eq!(open(sealed.clone(), &name), Some(value));
            prop_assume!(name != other);
            prop_assert_eq!(open(sealed, &other), None);
        }

        #[test]
        fn what_is_no_envelope_is_refused(bytes: Vec<u8>) {
            prop_assume!(bytes.first() != Some(&VERSION));
            prop_assert_eq!(open(bytes, ""), None);
        }
    }

    #[test]
    fn an_envelope_of_another_version_is_refused() {
        let mut sealed = seal("tenant:1:x", b"value");
        sealed[0] += 1;
        assert_eq!(open(sealed, "tenant:1:x"), None);
    }

    #[test]
    fn a_cut_envelope_is_refused() {
        let sealed = seal("tenant:1:x", b"");
        for len in 0..sealed.len() {
            assert_eq!(open(sealed[..len].to_vec(), "tenant:1:x"), None);
        }
    }
}
