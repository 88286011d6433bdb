//! The one encoding of names: injective, printable, without a glob or control character.
//!
//! ```text
//! name       = [ area ":" ] "tenant:" ( id / "{" id "}" ) [ "@" generation ] ":" tail
//! global     = "global:" tail
//! counter    = "generation:" [ area ":" ] "tenant:" ( id / "{" id "}" )     ; where a shared generation is kept
//! tail       = part *( ":" part ) / "#"                     ; "#" alone: no part at all
//!            / "#" 43base64url                              ; SHA-256 of the long name
//! area, id   = escaped / "#" 43base64url                    ; SHA-256 of the bytes
//! part       = escaped
//! escaped    = *( ALPHA / DIGIT / "-" / "." / "_" / "~" / "%" 2HEXDIG )
//! ```
//!
//! Why it is injective: `:`, `@`, `#`, `{`, `}` and `%` are never left bare inside an escaped run, so the structure can be
//! read back from the text, and an escaped run is read back by decoding it. An area whose text is one of the reserved
//! first segments has its first letter escaped, so that no area reads as another root.

use std::sync::Arc;

use arrayvec::{ArrayString, ArrayVec};
use sha2::{Digest, Sha256};

/// The longest name, in bytes: what memcached takes, the strictest of the stores in use.
pub(crate) const MAX_LEN: usize = 250;

/// Ids whose escaped form is longer are hashed.
const MAX_ID: usize = 96;

/// Areas whose escaped form is longer are hashed.
const MAX_AREA: usize = 43;

/// A SHA-256 in base64 without padding.
const HASH_LEN: usize = 43;

/// Names up to this length live on the stack: two UUIDs, `tenant:` and a resource fit.
const INLINE: usize = 92;

const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        plain[byte] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    plain
};

const HEX: &[u8; 16] = b"0123456789ABCDEF";
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text of a finished name: on the stack where it is short, else shared.
#[derive(Clone)]
pub(super) enum Text {
    Inline(ArrayString<INLINE>),
    Shared(Arc<str>),
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Inline(text) => text,
            Self::Shared(text) => text,
        }
    }

    #[inline]
    fn new(text: &str) -> Self {
        match ArrayString::from(text) {
            Ok(text) => Self::Inline(text),
            Err(_) => Self::Shared(text.into()),
        }
    }
}

/// Builds one name. What passes [`MAX_LEN`] is hashed as it comes, so that long parts are never copied.
pub(super) struct Writer {
    text: ArrayVec<u8, MAX_LEN>,
    head: usize,
    long: Option<Sha256>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { text: ArrayVec::new(), head: 0, long: None }
    }

    /// Writes the head of a tenant's name, and returns where its id stands.
    pub(super) fn tenant(&mut self, head: Head<'_>) -> (usize, usize) {
        if let Some(area) = head.area {
            self.area(area);
        }
        self.raw(if head.hash_tag { b"tenant:{" } else { b"tenant:" });
        let start = self.text.len();
        self.bounded(head.id, MAX_ID);
        let end = self.text.len();
        if head.hash_tag {
            self.raw(b"}");
        }
        if let Some(generation) = head.generation {
            self.raw(b"@");
            self.raw(itoa::Buffer::new().format(generation).as_bytes());
        }
        self.head = self.text.len();
        (start, end)
    }

    pub(super) fn root(&mut self, root: &'static [u8]) {
        self.raw(root);
        self.head = self.text.len();
    }

    fn area(&mut self, area: &[u8]) {
        let reserved = matches!(area, b"tenant" | b"global" | b"generation");
        if reserved {
            self.escape(area[0]);
        }
        self.bounded(&area[usize::from(reserved)..], MAX_AREA);
        self.raw(b":");
    }

    /// Begins the next part.
    #[inline]
    pub(super) fn begin_part(&mut self) {
        self.raw(b":");
    }

    /// Writes bytes of the present part.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if bytes.iter().all(|byte| PLAIN[usize::from(*byte)]) {
            self.raw(bytes);
        } else {
            self.escaped(bytes);
        }
    }

    #[cold]
    fn escaped(&mut self, mut bytes: &[u8]) {
        while let Some(plain) = bytes.iter().position(|byte| !PLAIN[usize::from(*byte)]) {
            self.raw(&bytes[..plain]);
            self.escape(bytes[plain]);
            bytes = &bytes[plain + 1..];
        }
        self.raw(bytes);
    }

    fn escape(&mut self, byte: u8) {
        self.raw(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }

    /// Writes `bytes`, or their hash where the escaped form would pass `max`.
    fn bounded(&mut self, bytes: &[u8], max: usize) {
        if bytes.len() * 3 > max {
            let escaped: usize = bytes.iter().map(|byte| if PLAIN[usize::from(*byte)] { 1 } else { 3 }).sum();
            if escaped > max {
                return self.raw(&hash_text(Sha256::digest(bytes).into()));
            }
        }
        self.bytes(bytes);
    }

    /// Writes bytes that need no escape.
    #[inline]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        if self.long.is_some() || self.text.try_extend_from_slice(bytes).is_err() {
            self.hashed(bytes);
        }
    }

    #[cold]
    fn hashed(&mut self, bytes: &[u8]) {
        self.long.get_or_insert_with(|| Sha256::new_with_prefix(&self.text)).update(bytes);
    }

    /// Returns the text: as written, or the head and the hash of everything where that is too long (CACHE-10).
    #[inline]
    pub(super) fn finish(&mut self) -> Text {
        self.end();
        Text::new(self.as_str())
    }

    /// Returns the bytes of the text that [`Writer::finish`] returns, where they stand.
    #[inline]
    pub(super) fn finish_here(&mut self) -> &[u8] {
        self.end();
        &self.text
    }

    #[inline]
    fn end(&mut self) {
        if self.long.is_some() || self.text.len() == self.head {
            self.finish_unusual();
        }
    }

    #[cold]
    fn finish_unusual(&mut self) {
        match self.long.take() {
            None => self.raw(b":#"),
            Some(hash) => {
                self.text.truncate(self.head);
                self.raw(b":");
                self.raw(&hash_text(hash.finalize().into()));
            }
        }
    }

    /// Returns what is written so far.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("only ASCII is written")
    }
}

/// What comes before the parts of a tenant's name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head<'a> {
    pub(super) area: Option<&'a [u8]>,
    pub(super) hash_tag: bool,
    pub(super) id: &'a [u8],
    pub(super) generation: Option<u64>,
}

/// `#` and the hash in base64url.
fn hash_text(hash: [u8; 32]) -> [u8; HASH_LEN + 1] {
    let mut text = [b'#'; HASH_LEN + 1];
    for (at, digit) in text[1..].iter_mut().enumerate() {
        let bit = at * 6;
        let high = u16::from(hash[bit / 8]) << 8;
        let low = hash.get(bit / 8 + 1).map_or(0, |byte| u16::from(*byte));
        *digit = BASE64URL[usize::from((high | low) >> (10 - bit % 8)) & 63];
    }
    text
}
