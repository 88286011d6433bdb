//! Names as advisory-lock ids.

use std::collections::HashSet;

use proptest::prelude::*;
use tenancy_core::{GlobalKey, LockIds, NamespacedKey};

use super::context;

#[test]
fn the_ids_are_the_ones_of_the_first_release() {
    // Nodes of different releases lock the same thing. Computed with an independent SipHash-2-4.
    let ids = LockIds::default();
    let migration = NamespacedKey::new(&context("1"), "migration");
    let golden = include_str!("../../golden/locks.txt");
    let secret = LockIds::new([7; 16]);
    let now = [ids.id(&migration), secret.id(&migration), ids.id(&GlobalKey::new("migration"))];
    assert_eq!(golden.lines().map(|line| line.parse().unwrap()).collect::<Vec<i64>>(), now);
}

#[test]
fn a_hundred_thousand_tenants_have_each_their_own_lock() {
    // SCH-29. The odds of any collision among them are 1 in 3,700 million.
    let ids: HashSet<i64> = (1..=100_000)
        .map(|n| LockIds::default().id(&NamespacedKey::new(&context(&n.to_string()), "m")))
        .collect();
    assert_eq!(ids.len(), 100_000);
    let spread = ids.iter().filter(|id| **id < 0).count();
    assert!((49_000..51_000).contains(&spread), "all 64 bits are in use");
}

proptest! {
    #[test]
    fn a_lock_depends_on_tenant_name_and_key(a in 1_u32.., b in 1_u32.., part: Vec<u8>, other: Vec<u8>, key: [u8; 16]) {
        prop_assume!(a != b && part != other && key != *b"tenancy lock ids");
        let (a, b) = (context(&a.to_string()), context(&b.to_string()));
        let ids = LockIds::default();
        let id = ids.id(&NamespacedKey::new(&a, [&part]));
        prop_assert_eq!(id, ids.id(&NamespacedKey::new(&a, [&part])));
        prop_assert_ne!(id, ids.id(&NamespacedKey::new(&b, [&part])));
        prop_assert_ne!(id, ids.id(&NamespacedKey::new(&a, [&other])));
        prop_assert_ne!(id, ids.id(&GlobalKey::new([&part])));
        prop_assert_ne!(id, LockIds::new(key).id(&NamespacedKey::new(&a, [&part])));
    }
}

#[test]
fn the_key_is_not_shown() {
    assert_eq!(format!("{:?}", LockIds::new(*b"secretsecretsecr")), "LockIds { .. }");
}
