//! The encoding is stored in caches and logs: it does not change between releases.

use tenancy_core::{GlobalKey, Namespace, NamespacedKey};
use uuid::Uuid;

use super::context;

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn names() -> Vec<String> {
    let (one, text, uuid, long) =
        (context("1"), context("Acme_Corp.eu-1"), context(UUID), context(&"a".repeat(255)));
    let order = Uuid::try_parse("a1a2a3a4-b1b2-c1c2-d1d2-d3d4d5d6d7d8").unwrap();
    let deployments = Namespace::new().with_area("deployments");
    let keys = [
        NamespacedKey::new(&one, ("orders", 7)),
        NamespacedKey::new(&context("9223372036854775807"), ("orders", i128::MIN, u64::MAX)),
        NamespacedKey::new(&text, ("orders", order)),
        NamespacedKey::new(&uuid, ("orders", order)),
        NamespacedKey::new(&long, "orders"),
        NamespacedKey::new(&one, ""),
        NamespacedKey::new(&one, ("", "", "")),
        NamespacedKey::new(&one, [""; 0]),
        NamespacedKey::new(&one, ("a:b", "c")),
        NamespacedKey::new(&one, ("a", "b:c")),
        NamespacedKey::new(&one, ["*", "[a]?", "\\", "{x}", "%2A", "#", "@", "a b", "\r\n\0"]),
        NamespacedKey::new(&one, ("Straße", "日本", true, [0xFF_u8, 0x00])),
        NamespacedKey::new(&one, ("-._~", "azAZ09")),
        NamespacedKey::new(&one, "a".repeat(241).as_str()),
        NamespacedKey::new(&one, "a".repeat(242).as_str()),
        deployments.key(&one, ("page", 3, "status", "open")),
        deployments.with_hash_tag().key(&one, ("page", 3, "status", "open")),
        Namespace::new().with_hash_tag().key(&text, ("orders", 7)),
        Namespace::new().with_area("tenant").key(&one, "x"),
        Namespace::new().with_area("global").key(&one, "x"),
        Namespace::new().with_area("generation").key(&one, "x"),
        Namespace::new().with_area("").key(&one, "x"),
        Namespace::new().with_area("an area of more than 43 bytes is written as a hash").key(&one, "x"),
    ];
    let globals = [GlobalKey::new(("flags", "beta")), GlobalKey::new("a".repeat(300).as_str())];
    let keys = keys.iter().map(ToString::to_string);
    keys.chain(globals.iter().map(ToString::to_string)).collect()
}

#[test]
fn the_encoding_is_the_one_of_the_first_release() {
    let golden: Vec<&str> = include_str!("../../golden/names.txt").lines().collect();
    assert_eq!(names(), golden);
}
