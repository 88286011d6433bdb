//! A resolver with one strategy takes a shorter way than one with several, and comes out at the same place.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Request;
use proptest::prelude::*;
use tenancy_core::{
    CookieStrategy, Domain, DomainState, DomainStrategy, Error, ErrorKind, HeaderStrategy, Lookup,
    Membership, MembershipAnswer, MemoryCatalog, NamedBy, PathStrategy, QueryStrategy, RequestHead,
    ResolveInput, Resolver, Signal, SignalError, Strategy as Reads, SubdomainStrategy, Tenant, TenantCatalog,
    TenantId, TenantKey, TenantResolver, TenantStatus, TrustedProxies, UnknownHost,
};

/// A second strategy that never finds anything.
#[derive(Debug)]
struct Silent;

impl Reads for Silent {
    fn read<'h>(&self, _: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        Ok(None)
    }
}

#[derive(Debug)]
struct ByHeader;

impl Membership for ByHeader {
    fn check(&self, _: &Tenant, head: &RequestHead<'_>) -> MembershipAnswer {
        match head.headers.get("member").map(|value| value.as_bytes()) {
            Some(b"yes") => MembershipAnswer::Member,
            Some(b"later") => MembershipAnswer::Later(Box::pin(async { Ok(true) })),
            _ => MembershipAnswer::Stranger,
        }
    }
}

/// How a catalog answers: at once, later, with an error, or with a tenant that nobody asked for.
#[derive(Clone, Copy, Debug)]
enum Manner {
    AtOnce,
    Later,
    Down,
    Wrong,
}

#[derive(Debug)]
struct Answering(Arc<MemoryCatalog>, Manner);

impl TenantCatalog for Answering {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        let known = Arc::clone(&self.0);
        let key = key.clone().into_owned();
        match self.1 {
            Manner::AtOnce => known.find(&key),
            Manner::Later => Lookup::later(async move { known.find(&key).wait().await }),
            Manner::Down => Lookup::later(async { Err(Error::new(ErrorKind::CatalogUnavailable, "down")) }),
            Manner::Wrong => known.find(&TenantKey::Slug("active".parse().expect("it is a slug"))),
        }
    }
}

const STATUSES: [(&str, TenantStatus); 5] = [
    ("active", TenantStatus::Active),
    ("suspended", TenantStatus::Suspended),
    ("maintenance", TenantStatus::Maintenance),
    ("cancelled", TenantStatus::Cancelled),
    ("provisioning", TenantStatus::Provisioning),
];

fn domain(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

fn known() -> Arc<MemoryCatalog> {
    let catalog = MemoryCatalog::new();
    for (id, (slug, status)) in (1..).zip(STATUSES) {
        let own = domain(&format!("{slug}.shop.example"));
        let at = |when| DomainState::moved(own.clone(), Some(when));
        let tenant = Tenant::builder(TenantId::integer(id).unwrap(), slug.parse().unwrap())
            .with_status(status)
            .with_retry_after(Duration::from_secs(7))
            .with_domain(own.clone())
            .with_domain_state(domain(&format!("pending.{slug}.example")), DomainState::Pending)
            .with_domain_state(domain(&format!("old.{slug}.example")), DomainState::moved(own.clone(), None))
            .with_domain_state(domain(&format!("over.{slug}.example")), at(SystemTime::UNIX_EPOCH));
        catalog.insert(tenant.build().unwrap()).unwrap();
    }
    Arc::new(catalog)
}

fn strategies() -> Vec<Box<dyn Fn() -> Box<dyn Reads>>> {
    let trusted = || HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback());
    vec![
        Box::new(|| Box::new(DomainStrategy::new())),
        Box::new(|| Box::new(SubdomainStrategy::new([domain("shop.example")]))),
        Box::new(move || Box::new(trusted())),
        Box::new(|| Box::new(HeaderStrategy::new().with_named_by(NamedBy::Slug))),
        Box::new(|| Box::new(PathStrategy::new("/t").unwrap())),
        Box::new(|| Box::new(QueryStrategy::new("tenant_id"))),
        Box::new(|| Box::new(CookieStrategy::new("tenant"))),
    ]
}

/// What a strategy behind a pointer reads.
#[derive(Debug)]
struct Boxed(Box<dyn Reads>);

impl Reads for Boxed {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        self.0.read(head)
    }

    fn reads_host(&self) -> bool {
        self.0.reads_host()
    }
}

/// Everything that can be seen of an answer.
async fn outcome(resolver: &Resolver, request: &Request<()>) -> String {
    let peer = std::net::Ipv4Addr::LOCALHOST.into();
    match resolver.resolve(ResolveInput::new(request, Some(peer))).wait().await {
        Ok(context) => format!("{context:?}"),
        Err(refused) => {
            format!("{:?} {:?} {:?}", refused.reason(), refused.retry_after(), refused.redirect_to())
        }
    }
}

#[derive(Clone, Debug)]
struct Setting {
    manner: Manner,
    membership: bool,
    public_status: bool,
    unknown: UnknownHost,
}

fn settings() -> impl Strategy<Value = Setting> {
    let manner = prop::sample::select(vec![Manner::AtOnce, Manner::Later, Manner::Down, Manner::Wrong]);
    let unknown = prop::sample::select(vec![
        UnknownHost::Refuse,
        UnknownHost::Tenant(TenantId::integer(1).unwrap()),
        UnknownHost::Redirect("https://home.example/".parse().unwrap()),
    ]);
    (manner, any::<bool>(), any::<bool>(), unknown).prop_map(
        |(manner, membership, public_status, unknown)| Setting { manner, membership, public_status, unknown },
    )
}

fn requests() -> impl Strategy<Value = Request<()>> {
    let name = prop::sample::select(vec![
        "active",
        "suspended",
        "maintenance",
        "cancelled",
        "provisioning",
        "nobody",
    ]);
    let shape = prop::sample::select(vec!["", "pending", "old", "over", "address", "odd", "missing"]);
    let id = prop::sample::select(vec!["1", "2", "3", "9", "01", "active", "WWW", ""]);
    let path =
        prop::sample::select(vec!["/", "/t/", "/t/active/x", "/t/suspended", "/t/nobody?q", "/t//a", "*"]);
    let member = prop::sample::select(vec!["yes", "no", "later"]);
    (name, shape, id, path, member).prop_map(|(name, shape, id, path, member)| {
        let mut request = Request::builder().uri(path).header("member", member).header("x-tenant-id", id);
        request = request.header("cookie", format!("tenant={id}"));
        request = match shape {
            "missing" => request,
            "" => request.header("host", format!("{name}.shop.example")),
            "address" => request.header("host", "192.0.2.1"),
            "odd" => request.header("host", "a_b..example"),
            before => request.header("host", format!("{before}.{name}.example")),
        };
        request.body(()).unwrap()
    })
}

proptest! {
    #![proptest_config(super::parsing::config())]

    #[test]
    fn one_strategy_decides_as_several_do(setting in settings(), request in requests()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let catalog: Arc<dyn TenantCatalog> = Arc::new(Answering(known(), setting.manner));
        for strategy in strategies() {
            let build = |several: bool| {
                let mut builder = Resolver::builder(Arc::clone(&catalog)).with_strategy(Boxed(strategy()));
                if several {
                    builder = builder.with_strategy(Silent);
                }
                if setting.membership {
                    builder = builder.with_membership(ByHeader);
                }
                if setting.public_status {
                    builder = builder.with_public_status();
                }
                builder.with_unknown_host(setting.unknown.clone()).build().unwrap()
            };
            let (one, several) = (build(false), build(true));
            runtime.block_on(async {
                let (one, several) = (outcome(&one, &request).await, outcome(&several, &request).await);
                prop_assert_eq!(one, several, "{:?} {:?} {:?}", strategy(), setting, request);
                Ok(())
            })?;
        }
    }
}
