//! D1: another tenant's canary in any byte of an answer, in whatever dress.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Detector, Finding};
use crate::check::describe::world::NUMBER;
use crate::check::describe::{TenantHandle, World};
use crate::check::program::request::percent_decoded;
use crate::check::program::run::Record;

/// Finds the canaries of all tenants of a world, plain, in hexadecimal digits, or in base64 at any of its three
/// alignments (its two alphabets agree on letters and digits).
pub(crate) struct Canaries {
    finder: AhoCorasick,
    /// For each pattern, whose it is, and how many characters after it belong to the canary.
    patterns: Vec<(usize, usize)>,
}

/// What a tenant's rows hold of the service's own planting.
pub(crate) type Planted = dyn Fn(&TenantHandle) -> Option<String> + Send + Sync;

/// A canary that was found.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Sighting {
    pub(crate) owner: usize,
    pub(crate) text: String,
}

impl Canaries {
    /// `planted` names the canary that a tenant's rows hold before the first request.
    pub(crate) fn new(world: &World, planted: Option<&Planted>) -> Self {
        let (mut texts, mut patterns) = (Vec::new(), Vec::new());
        for tenant in world.all() {
            let theirs = planted.and_then(|planted| planted(tenant)).map(|text| (text, 0));
            for (token, tail) in [(tenant.token().to_owned(), NUMBER)].into_iter().chain(theirs) {
                let dressed = (0..3).map(|shift| base64_inside(&token, shift)).chain([hexadecimal(&token)]);
                texts.extend(dressed);
                patterns.extend([(tenant.index(), 0); 4]);
                texts.push(token);
                patterns.push((tenant.index(), tail));
            }
        }
        let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(texts);
        Self { finder: finder.expect("a few short patterns"), patterns }
    }

    /// All canaries in `bytes`; what is escaped is read as well.
    pub(crate) fn find(&self, bytes: &[u8]) -> BTreeSet<Sighting> {
        let mut found = BTreeSet::new();
        self.scan(bytes, &mut found);
        if bytes.windows(2).any(|pair| pair == b"\\u") {
            self.scan(unescaped(bytes).as_bytes(), &mut found);
        }
        if bytes.contains(&b'%') {
            self.scan(percent_decoded(&String::from_utf8_lossy(bytes)).as_bytes(), &mut found);
        }
        found
    }

    fn scan(&self, bytes: &[u8], found: &mut BTreeSet<Sighting>) {
        for hit in self.finder.find_iter(bytes) {
            let (owner, tail) = self.patterns[hit.pattern().as_usize()];
            let end = (hit.end() + tail).min(bytes.len());
            let text = String::from_utf8_lossy(&bytes[hit.start()..end]).to_ascii_lowercase();
            found.insert(Sighting { owner, text });
        }
    }
}

/// What of a text's base64 does not depend on what stands before and after it.
fn base64_inside(text: &str, shift: usize) -> String {
    let padded = format!("{}{text}", "\0".repeat(shift));
    let encoded = STANDARD.encode(padded.as_bytes());
    let whole = padded.len() / 3 * 4;
    let start = [0, 2, 3][shift];
    encoded[start..whole].to_owned()
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The text with its `\u0041` read.
fn unescaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\\u");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code =
            part.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        match code {
            Some(letter) => {
                plain.push(letter);
                plain.push_str(&part[4..]);
            }
            None => plain.push_str(part),
        }
    }
    plain
}

/// A canary of somebody else in `record`'s answer which its caller has not sent itself.
pub(crate) fn judge(record: &Record, canaries: &Canaries, said: &BTreeSet<Sighting>) -> Option<Finding> {
    let answer = record.answer.as_ref()?;
    let mut bytes = Vec::new();
    for (name, value) in &answer.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    let in_headers = canaries.find(&bytes).into_iter().map(|sighting| (sighting, "a header"));
    let in_body = canaries.find(&answer.body).into_iter().map(|sighting| (sighting, "the body"));
    let foreign = |sighting: &Sighting| sighting.owner != record.caller && !heard_before(sighting, said);
    let (sighting, place) = in_headers.chain(in_body).find(|(sighting, _)| foreign(sighting))?;
    Some(Finding {
        detector: Detector::Canary,
        what: format!("\"{}\" in {place} of the answer ({})", sighting.text, answer.status),
        from: Some(sighting.owner),
        to: Some(record.caller),
        step: record.step,
        call: record.call,
    })
}

/// An echo: of the whole text, or of a piece of it.
pub(crate) fn heard_before(sighting: &Sighting, said: &BTreeSet<Sighting>) -> bool {
    let piece = |known: &Sighting| known.owner == sighting.owner && known.text.starts_with(&sighting.text);
    said.contains(sighting) || said.iter().any(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::describe::Standing;

    fn owners(canaries: &Canaries, bytes: &[u8]) -> Vec<usize> {
        canaries.find(bytes).into_iter().map(|sighting| sighting.owner).collect()
    }

    #[test]
    fn a_canary_is_found_in_every_dress_and_nothing_else_is() {
        let world = World::new(5, &[Standing::Active; 3], false, 1);
        let canaries = Canaries::new(&world, None);
        let text = world.all()[1].canary(77);
        let escaped: String = text.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect();
        let percent: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut dresses =
            vec![format!("x{text}y"), text.to_ascii_uppercase(), escaped, percent, hexadecimal(&text)];
        for before in ["", "a", "ab", "abc"] {
            dresses.push(STANDARD.encode(format!("{before}{text} and more")));
        }
        for dress in &dresses {
            assert_eq!(owners(&canaries, dress.as_bytes()), [1], "{dress}");
        }
        assert!(canaries.find(b"{\"name\": \"zq\", \"n\": 12345}").is_empty());
        assert_eq!(canaries.find(text.as_bytes()).first().map(|sighting| sighting.text.clone()), Some(text));
    }
}
