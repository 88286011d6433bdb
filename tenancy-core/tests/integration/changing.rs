//! Readers beside a writer: whoever looks a tenant up between two changes finds the present one, and no other, whatever his
//! thread found before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use http::Request;
use tenancy_core::{
    Domain, DomainStrategy, HeaderStrategy, MemoryCatalog, NamedBy, PathStrategy, Resolution, ResolveInput,
    Resolver, SubdomainStrategy, Tenant, TenantCatalog, TenantId, TenantResolver, TenantStatus,
    TrustedProxies,
};

/// Both slugs and tenants: names change hands.
const COUNT: usize = 4;
const FOR: Duration = Duration::from_secs(2);

/// Whose each name is, if he is served. Odd while the writer is at work.
#[derive(Default)]
struct Truth {
    epoch: AtomicU64,
    owners: [AtomicU64; COUNT],
}

fn id(number: usize) -> TenantId {
    TenantId::integer(i64::try_from(number).unwrap() + 1).unwrap()
}

fn slug(name: usize) -> String {
    format!("n{name}")
}

fn domain(name: usize) -> Domain {
    Domain::new(&format!("n{name}.example")).unwrap()
}

/// Gives `tenant` the name, in all its forms, or takes it away with the tenant itself.
fn change(catalog: &MemoryCatalog, tenant: usize, old: Option<usize>, new: Option<(usize, TenantStatus)>) {
    let Some((name, status)) = new else {
        catalog.remove(&id(tenant)).unwrap();
        return;
    };
    let slug = slug(name).parse().unwrap();
    match old {
        None => {
            let new = Tenant::builder(id(tenant), slug).with_status(status).with_domain(domain(name));
            catalog.insert(new.build().unwrap()).unwrap();
        }
        Some(old) => {
            let change = |tenant: tenancy_core::TenantBuilder| {
                let tenant = tenant.with_slug(slug).with_status(status);
                tenant.without_domain(&domain(old)).with_domain(domain(name))
            };
            catalog.update(&id(tenant), change).unwrap();
        }
    }
}

/// Changes tenants until the time is over, and says each time what is true then. Returns how many changes it made.
fn write(catalog: &MemoryCatalog, truth: &Truth) -> u64 {
    let (start, mut random, mut names) = (Instant::now(), fastrand::Rng::with_seed(7), [None; COUNT]);
    while start.elapsed() < FOR {
        let tenant = random.usize(..COUNT);
        let is_taken = |name: &usize| names.contains(&Some(*name)) && names[tenant] != Some(*name);
        let free: Vec<usize> = (0..COUNT).filter(|name| !is_taken(name)).collect();
        let wanted = random.choice(free);
        let status = if random.bool() { TenantStatus::Active } else { TenantStatus::Suspended };
        let new = wanted.filter(|_| random.u8(..8) > 0).map(|name| (name, status));
        if names[tenant].is_none() && new.is_none() {
            continue;
        }
        truth.epoch.fetch_add(1, Ordering::SeqCst);
        change(catalog, tenant, names[tenant], new);
        if let Some(old) = names[tenant] {
            truth.owners[old].store(0, Ordering::SeqCst);
        }
        names[tenant] = new.map(|(name, _)| name);
        if let Some((name, status)) = new {
            let owner = if status == TenantStatus::Active { tenant as u64 + 1 } else { 0 };
            truth.owners[name].store(owner, Ordering::SeqCst);
        }
        truth.epoch.fetch_add(1, Ordering::SeqCst);
        // Readers shall have time for some look-ups.
        thread::sleep(Duration::from_micros(random.u64(..100)));
    }
    truth.epoch.load(Ordering::SeqCst) / 2
}

/// A resolver by each strategy that takes a glance, and a request to it for each name.
fn ways(catalog: &Arc<MemoryCatalog>) -> Vec<(Resolver, Vec<Request<()>>)> {
    let request = |host: &str, target: &str, header: &str| {
        let head = Request::builder().uri(target).header("host", host).header("x-tenant-id", header);
        head.body(()).unwrap()
    };
    let resolver = || Resolver::builder(Arc::clone(catalog) as Arc<dyn TenantCatalog>);
    let header = HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback());
    let resolvers = [
        resolver().with_strategy(DomainStrategy::new()),
        resolver().with_strategy(SubdomainStrategy::new([Domain::new("example").unwrap()])),
        resolver().with_strategy(PathStrategy::new("/t").unwrap()),
        resolver().with_strategy(header.with_named_by(NamedBy::Slug)),
    ];
    let of = |name| request(domain(name).as_str(), &format!("/t/{}/x", slug(name)), &slug(name));
    resolvers.map(|built| (built.build().unwrap(), (0..COUNT).map(of).collect())).into()
}

fn found(resolver: &Resolver, request: &Request<()>) -> u64 {
    match resolver.resolve(ResolveInput::new(request, Some("127.0.0.1".parse().unwrap()))) {
        Resolution::Ready(Ok(context)) => context.id().to_string().parse().unwrap(),
        Resolution::Ready(Err(_)) => 0,
        Resolution::Later(_) => panic!("all is at hand"),
    }
}

/// Looks names up until `over`. Returns how many look-ups fell between two changes, and how many of these found somebody.
fn read(catalog: &Arc<MemoryCatalog>, truth: &Truth, over: &AtomicBool) -> (u64, u64) {
    let (ways, mut judged, mut served) = (ways(catalog), 0, 0);
    while !over.load(Ordering::SeqCst) {
        for (way, (resolver, requests)) in ways.iter().enumerate() {
            for (name, request) in requests.iter().enumerate() {
                let before = truth.epoch.load(Ordering::SeqCst);
                let owner = truth.owners[name].load(Ordering::SeqCst);
                let found = found(resolver, request);
                if before.is_multiple_of(2) && truth.epoch.load(Ordering::SeqCst) == before {
                    assert_eq!(found, owner, "name {name}, way {way}, after {before} steps");
                    judged += 1;
                    served += u64::from(found > 0);
                }
            }
        }
    }
    (judged, served)
}

/// DIR-01, DIR-02, DIR-17: suspended, renamed, moved, removed and made anew, a name is never the former owner's.
#[test]
fn a_name_is_never_a_former_owners() {
    let (catalog, truth, over) = (Arc::new(MemoryCatalog::new()), Truth::default(), AtomicBool::new(false));
    let (changes, readers) = thread::scope(|scope| {
        let readers = [(); 3].map(|()| scope.spawn(|| read(&catalog, &truth, &over)));
        let changes = write(&catalog, &truth);
        over.store(true, Ordering::SeqCst);
        (changes, readers.map(|reader| reader.join().expect("every look-up is right")))
    });
    for (judged, served) in readers {
        assert!(changes > 100 && served > 100 && judged > served, "{changes} {judged} {served}");
    }
}
