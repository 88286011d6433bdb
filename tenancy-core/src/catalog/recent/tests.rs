//! Who is remembered, and for how long.

use std::sync::mpsc;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::{Domain, MemoryCatalog, TenantId, TenantStatus};

fn id(number: usize) -> TenantId {
    TenantId::integer(i64::try_from(number).unwrap() + 1).unwrap()
}

fn tenant(number: usize, slug: &str) -> Arc<Tenant> {
    Tenant::builder(id(number), slug.parse().unwrap()).build().unwrap()
}

/// By how many the catalog and this thread hold more of `tenant` than this test does.
fn holders(tenant: &Arc<Tenant>) -> usize {
    Arc::strong_count(tenant) - 1
}

#[test]
fn who_is_found_is_remembered() {
    let catalog = MemoryCatalog::new();
    let acme = tenant(1, "acme");
    catalog.insert(Arc::clone(&acme)).unwrap();
    let before = holders(&acme);
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&catalog.active_by_slug(b"acme").unwrap(), &acme));
        assert_eq!(holders(&acme), before + 1);
    }
}

/// DIR-01: as soon as a suspension or a removal has returned, on whatever thread.
#[test]
fn nobody_is_remembered_for_longer_than_his_record_lasts() {
    let catalog = Arc::new(MemoryCatalog::new());
    catalog.insert(tenant(1, "acme")).unwrap();
    let (asked, ask) = mpsc::channel::<()>();
    let (answer, answered) = mpsc::channel();
    let elsewhere = Arc::clone(&catalog);
    let other = thread::spawn(move || {
        for () in ask {
            answer.send(elsewhere.active_by_slug(b"acme").is_some()).unwrap();
        }
    });
    let is_found = |expected: bool| {
        for _ in 0..3 {
            assert_eq!(catalog.active_by_slug(b"acme").is_some(), expected);
            asked.send(()).unwrap();
            assert_eq!(answered.recv(), Ok(expected));
        }
    };
    is_found(true);
    catalog.set_status(&id(1), TenantStatus::Suspended).unwrap();
    is_found(false);
    catalog.set_status(&id(1), TenantStatus::Active).unwrap();
    is_found(true);
    catalog.remove(&id(1)).unwrap();
    is_found(false);
    drop(asked);
    other.join().unwrap();
}

#[test]
fn two_catalogs_remember_each_its_own() {
    let (ours, theirs) = (MemoryCatalog::new(), MemoryCatalog::new());
    ours.insert(tenant(1, "acme")).unwrap();
    theirs.insert(tenant(2, "acme")).unwrap();
    for _ in 0..3 {
        assert_eq!(*ours.active_by_slug(b"acme").unwrap().id(), id(1));
        assert_eq!(*theirs.active_by_slug(b"acme").unwrap().id(), id(2));
    }
}

/// Not even where two indexes make the same number of a name.
#[test]
fn another_index_finds_nobody_here() {
    let (ours, theirs) = (IndexNumber::next(), IndexNumber::next());
    let acme = tenant(1, "acme");
    note(ours, 7, &acme, 0);
    assert!(find(ours, 7, |_, _| true).is_some());
    assert!(find(theirs, 7, |_, _| true).is_none());
    assert!(find(ours, 7 + (1 << 16), |_, _| true).is_none());
    assert!(find(ours, 7, |_, _| false).is_none());
}

#[test]
fn a_crowd_fills_no_more_than_the_places() {
    let catalog = MemoryCatalog::new();
    let crowd: Vec<_> = (0..20 * SETS).map(|number| tenant(number, &format!("t{number}"))).collect();
    catalog.insert_all(crowd.iter().cloned()).unwrap();
    let before = holders(&crowd[0]);
    for tenant in crowd.iter().chain(&crowd) {
        let found = catalog.active_by_slug(tenant.slug().as_str().as_bytes()).unwrap();
        assert!(Arc::ptr_eq(&found, tenant));
    }
    let remembered = crowd.iter().filter(|tenant| holders(tenant) > before).count();
    assert!((SETS..=2 * SETS).contains(&remembered), "{remembered}");
}

/// What is remembered is forgotten once somebody else comes often enough.
#[test]
fn who_comes_often_gets_a_place() {
    let index = IndexNumber::next();
    let tenants = ["a0", "a1", "a2", "a3"].map(|slug| tenant(1, slug));
    let note = |tenant: usize| note(index, 7, &tenants[tenant], 0);
    let is_found =
        |number: usize| find(index, 7, |tenant, _| tenant.slug() == tenants[number].slug()).is_some();
    note(0);
    note(1);
    for _ in 1..IN_VAIN {
        note(2);
        assert!(is_found(0) && is_found(1) && !is_found(2));
    }
    note(2);
    assert!(!is_found(0) && is_found(1) && is_found(2));
    // At once, where a record is of no use any more, be it the first or the second.
    tenants[2].supersede();
    note(3);
    assert!(is_found(1) && !is_found(2) && is_found(3));
    tenants[1].supersede();
    note(0);
    assert!(is_found(0) && !is_found(1) && is_found(3));
}

/// What the tenants of a catalog are called, and whether they are served.
type Model = [Option<(usize, usize, bool)>; 3];

const NAMES: [&str; 4] = ["n0", "n1", "n2", "n3"];

fn domain(name: usize) -> Domain {
    Domain::new(&format!("{}.example", NAMES[name])).unwrap()
}

/// Gives tenant `number` a slug and a domain, unless one of them is another's; or takes it away.
fn change(catalog: &MemoryCatalog, model: &mut Model, number: usize, new: Option<(usize, usize, bool)>) {
    let Some((slug, own, active)) = new else {
        assert_eq!(catalog.remove(&id(number)).is_ok(), model[number].take().is_some());
        return;
    };
    let status = if active { TenantStatus::Active } else { TenantStatus::Suspended };
    let slug_of = || NAMES[slug].parse().unwrap();
    let changed = if model[number].is_some() {
        let change = |old: crate::TenantBuilder| {
            let old = old.with_slug(slug_of()).with_status(status);
            (0..NAMES.len()).fold(old, |old, name| old.without_domain(&domain(name))).with_domain(domain(own))
        };
        catalog.update(&id(number), change).is_ok()
    } else {
        let new = Tenant::builder(id(number), slug_of()).with_status(status).with_domain(domain(own));
        catalog.insert(new.build().unwrap()).is_ok()
    };
    let mut others = model.iter().enumerate().filter(|(other, _)| *other != number);
    let is_free = others.all(|(_, other)| other.is_none_or(|(s, d, _)| s != slug && d != own));
    assert_eq!(changed, is_free);
    if changed {
        model[number] = new;
    }
}

fn check(catalog: &MemoryCatalog, model: &Model) {
    for (name, text) in NAMES.iter().enumerate() {
        let named = |named: &dyn Fn(usize, usize) -> bool| {
            let is =
                |tenant: &Option<_>| tenant.is_some_and(|(slug, own, active)| active && named(slug, own));
            model.iter().position(is).map(id)
        };
        let found = |tenant: Option<Arc<Tenant>>| tenant.map(|tenant| tenant.id().clone());
        let by_slug = found(catalog.active_by_slug(text.as_bytes()));
        assert_eq!(by_slug, named(&|slug, _| slug == name), "{text}");
        let by_domain = found(catalog.active_by_domain(domain(name).as_str().as_bytes()));
        assert_eq!(by_domain, named(&|_, own| own == name), "{text}");
    }
    for (number, tenant) in model.iter().enumerate() {
        let is_served = tenant.is_some_and(|(_, _, active)| active);
        assert_eq!(catalog.active_by_id(&id(number)).is_some(), is_served, "{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Names move between tenants, which come, are suspended and go; whoever is remembered, each look-up gives what a
    /// catalog has to give, on this thread and on one that begins anew.
    #[test]
    fn names_are_always_those_of_the_present_tenants(
        changes in prop::collection::vec((0_usize..3, prop::option::of((0_usize..4, 0_usize..4, any::<bool>()))), 1..24),
    ) {
        let (catalog, mut model) = (MemoryCatalog::new(), Model::default());
        for (number, new) in changes {
            change(&catalog, &mut model, number, new);
            check(&catalog, &model);
            check(&catalog, &model);
        }
        thread::scope(|scope| scope.spawn(|| check(&catalog, &model)).join()).unwrap();
    }
}
