//! What the encoding promises, on raw bytes: also for tenant ids that [`crate::TenantId`] would refuse.

use std::collections::HashSet;

use proptest::prelude::*;

use super::encode::{Head, MAX_LEN, Writer};

/// Bytes that mean something to the encoding, to Redis or to a glob.
const HOSTILE: [u8; 8] = *b":%@#{}*1";

/// The boundary between two parts, beside the hostile bytes.
const BOUNDARY: u16 = 256;

#[derive(Clone, Debug, Eq, PartialEq, Hash)]
struct Name {
    area: Option<Vec<u8>>,
    hash_tag: bool,
    tenant: Vec<u8>,
    generation: Option<u64>,
    parts: Vec<Vec<u8>>,
}

impl Name {
    fn new(tenant: &[u8], parts: &[Vec<u8>]) -> Self {
        Self { area: None, hash_tag: false, tenant: tenant.to_vec(), generation: None, parts: parts.to_vec() }
    }

    fn encode(&self) -> String {
        let mut writer = Writer::new();
        let area = self.area.as_deref();
        writer.tenant(Head { area, hash_tag: self.hash_tag, id: &self.tenant, generation: self.generation });
        for part in &self.parts {
            writer.begin_part();
            writer.bytes(part);
        }
        writer.finish().as_str().to_owned()
    }
}

/// Reads a name back, as a second, independent statement of the grammar. Hashed names cannot be read.
fn decode(text: &str) -> Name {
    let (area, rest) = match text.strip_prefix("tenant:") {
        Some(rest) => (None, rest),
        None => {
            let (area, rest) = text.split_once(':').unwrap();
            (Some(unescape(area)), rest.strip_prefix("tenant:").unwrap())
        }
    };
    let (head, tail) = rest.split_once(':').unwrap();
    let (id, generation) = match head.split_once('@') {
        Some((id, generation)) => (id, Some(generation.parse().unwrap())),
        None => (head, None),
    };
    let tagged = id.strip_prefix('{').map(|id| id.strip_suffix('}').unwrap());
    let parts = if tail == "#" { Vec::new() } else { tail.split(':').map(unescape).collect() };
    let tenant = unescape(tagged.unwrap_or(id));
    Name { area, hash_tag: tagged.is_some(), tenant, generation, parts }
}

fn unescape(text: &str) -> Vec<u8> {
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{text}");
    percent_encoding::percent_decode_str(text).collect()
}

/// All words over `symbols` of at most `max` letters.
fn words<T: Copy>(symbols: &[T], max: usize) -> Vec<Vec<T>> {
    let mut words = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..max {
        let to = words.len();
        for at in from..to {
            for symbol in symbols {
                words.push([words[at].as_slice(), &[*symbol]].concat());
            }
        }
        from = to;
    }
    words
}

/// All lists of parts with at most `max` hostile bytes and boundaries: `["", ""]` is one boundary.
fn part_lists(max: usize) -> Vec<Vec<Vec<u8>>> {
    let symbols: Vec<u16> = HOSTILE.iter().map(|byte| u16::from(*byte)).chain([BOUNDARY]).collect();
    let split = |word: &Vec<u16>| {
        let byte = |symbol: &u16| u8::try_from(*symbol).unwrap();
        word.split(|symbol| *symbol == BOUNDARY).map(|part| part.iter().map(byte).collect()).collect()
    };
    words(&symbols, max).iter().map(split).chain([Vec::new()]).collect()
}

#[test]
fn every_tenant_and_key_of_up_to_three_hostile_bytes_has_a_name_of_its_own() {
    // CACHE-02, M16. 585 tenants, 821 lists of parts.
    let tenants = words(&HOSTILE, 3);
    let lists = part_lists(3);
    let mut seen = HashSet::with_capacity(tenants.len() * lists.len());
    for tenant in &tenants {
        for parts in &lists {
            let text = Name::new(tenant, parts).encode();
            assert!(seen.insert(text), "{tenant:?} {parts:?}");
        }
    }
    assert_eq!(seen.len(), 585 * 821);
}

#[test]
fn every_shape_over_hostile_areas_tenants_and_parts_reads_back() {
    let mut areas: Vec<Option<Vec<u8>>> = words(&HOSTILE, 2).into_iter().map(Some).collect();
    areas.extend([None, Some(b"tenant".to_vec()), Some(b"global".to_vec()), Some(b"generation".to_vec())]);
    areas.push(Some(b"%74enant".to_vec()));
    let (tenants, lists) = (words(&HOSTILE, 2), part_lists(1));
    let mut seen = HashSet::new();
    for area in &areas {
        for tenant in &tenants {
            for parts in &lists {
                for (hash_tag, generation) in
                    [(false, None), (true, None), (false, Some(1)), (true, Some(11))]
                {
                    let name = Name { area: area.clone(), hash_tag, generation, ..Name::new(tenant, parts) };
                    let text = name.encode();
                    assert_eq!(decode(&text), name, "{text}");
                    assert!(!text.starts_with("global:") && !text.starts_with("generation:"), "{text}");
                    assert!(seen.insert(text));
                }
            }
        }
    }
}

#[test]
fn joining_without_escaping_would_collide() {
    // The twin of the two tests above: the naive encoding fails on the same alphabet, so that they can fail.
    let mut seen = HashSet::new();
    let naive = |tenant: &Vec<u8>, parts: &Vec<Vec<u8>>| [tenant.as_slice(), &parts.join(&b':')].join(&b':');
    let lists = part_lists(2);
    let collides =
        words(&HOSTILE, 2).iter().any(|tenant| lists.iter().any(|list| !seen.insert(naive(tenant, list))));
    assert!(collides);
}

fn name() -> impl Strategy<Value = Name> {
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let areas = proptest::option::of(bytes(20));
    let parts = proptest::collection::vec(bytes(40), 0..5);
    (areas, any::<bool>(), bytes(30), any::<Option<u64>>(), parts).prop_map(
        |(area, hash_tag, tenant, generation, parts)| Name { area, hash_tag, tenant, generation, parts },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_read_back_or_are_hashed_below_the_limit(name in name()) {
        let text = name.encode();
        prop_assert!(text.len() <= MAX_LEN);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?[]\\^".contains(&byte)), "{}", text);
        if !text.contains('#') || name.parts.is_empty() && !text[..text.len() - 1].contains('#') {
            prop_assert_eq!(decode(&text), name);
        }
    }

    #[test]
    fn different_names_have_different_texts(one in name(), other in name(), same in 0_u8..16) {
        let mut other = other;
        if same & 1 == 0 { other.tenant.clone_from(&one.tenant); }
        if same & 2 == 0 { other.area.clone_from(&one.area); }
        if same & 4 == 0 { other.hash_tag = one.hash_tag; }
        if same & 8 == 0 { other.generation = one.generation; }
        prop_assert_eq!(one == other, one.encode() == other.encode());
    }

    #[test]
    fn moving_a_boundary_changes_the_name(bytes in proptest::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>()) {
        // CACHE-02 at every length, the hashed ones too: the same bytes, split elsewhere.
        let at = at.index(bytes.len());
        let split = Name::new(b"1", &[bytes[..at].to_vec(), bytes[at..].to_vec()]).encode();
        prop_assert_ne!(&split, &Name::new(b"1", std::slice::from_ref(&bytes)).encode());
        let next = Name::new(b"1", &[bytes[..at + 1].to_vec(), bytes[at + 1..].to_vec()]).encode();
        prop_assert_ne!(&split, &next);
    }
}

#[test]
fn a_long_name_keeps_its_tenant_and_is_hashed_over_everything() {
    // CACHE-10.
    let long = |tenant: &[u8], part: Vec<u8>| Name::new(tenant, &[b"orders".to_vec(), part]).encode();
    let text = long(b"1", vec![b'a'; 1 << 20]);
    assert!(text.starts_with("tenant:1:#") && text.len() == 53, "{text}");
    let others =
        [long(b"1", vec![b'a'; (1 << 20) + 1]), long(b"2", vec![b'a'; 1 << 20]), long(b"1", vec![b'a'; 300])];
    let tails: HashSet<_> =
        others.iter().chain([&text]).map(|text| text.split_once('#').unwrap().1).collect();
    assert_eq!(tails.len(), 4);
}

#[test]
fn the_longest_name_is_kept_and_the_next_longer_is_hashed() {
    let text = |len: usize| Name::new(b"1", &[vec![b'a'; len]]).encode();
    let room = MAX_LEN - "tenant:1:".len();
    assert_eq!(text(room), format!("tenant:1:{}", "a".repeat(room)));
    assert!(text(room + 1).starts_with("tenant:1:#"));
}

#[test]
fn a_tenant_of_255_bytes_has_names_of_its_own() {
    let (one, other) = ([b'a'; 255], [[b'a'; 254].as_slice(), b"b"].concat());
    let names =
        [Name::new(&one, &[b"x".to_vec()]), Name::new(&other, &[b"x".to_vec()])].map(|name| name.encode());
    assert_ne!(names[0], names[1]);
    assert!(names.iter().all(|text| text.starts_with("tenant:#") && text.ends_with(":x") && text.len() < 70));
    // The hash of an id is no id: a tenant cannot take the name that another's hash gives.
    let taken = names[0].trim_start_matches("tenant:").trim_end_matches(":x").as_bytes();
    assert_ne!(Name::new(taken, &[b"x".to_vec()]).encode(), names[0]);
}

#[test]
fn the_longest_head_still_leaves_room_for_a_hash() {
    for (area, tenant) in [([b'*'; 43], [b'*'; 255]), ([b'a'; 43], [b'a'; 255])] {
        let name = Name {
            area: Some(area.to_vec()),
            hash_tag: true,
            generation: Some(u64::MAX),
            ..Name::new(&tenant, &[vec![0; 1000]])
        };
        assert!(name.encode().len() <= MAX_LEN);
    }
}
