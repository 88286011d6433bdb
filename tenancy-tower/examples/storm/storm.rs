//! The server, the clients, and whoever changes the tenants under their feet.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::any;
use tenancy_core::{
    Domain, DomainStrategy, HeaderStrategy, MemoryCatalog, QueryStrategy, Resolver, SubdomainStrategy,
    Tenant, TenantContext, TenantId, TenantStatus,
};
use tenancy_tower::{CurrentTenant, ResolveTenantLayer};

use super::history::History;

const TENANTS: i64 = 12;
/// More names than tenants, so that some are free.
const NAMES: i64 = 20;
const CLIENTS: u64 = 4;

/// What came of a storm.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) answers: BTreeMap<String, u64>,
    pub(crate) changes: u64,
    /// How many of the requests had to be served, since nothing changed for them while they ran.
    pub(crate) steady: u64,
    pub(crate) wrong: Vec<String>,
    elapsed: Duration,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.wrong.is_empty() && self.steady > 0 && self.changes > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests: u64 = self.answers.values().sum();
        writeln!(f, "{requests} requests in {:.1?}, {} changes", self.elapsed, self.changes)?;
        for (answer, count) in &self.answers {
            writeln!(f, "  {answer:<12} {count:>9}")?;
        }
        writeln!(f, "  {} of them had to be served, whatever else happened, and were", self.steady)?;
        write!(f, "{} wrong", self.wrong.len())?;
        self.wrong.iter().take(20).try_for_each(|wrong| write!(f, "\n  {wrong}"))
    }
}

/// Small, fast, and the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n
    }

    fn number(&mut self, n: i64) -> i64 {
        self.below(n as u64) as i64
    }
}

fn id(number: i64) -> TenantId {
    TenantId::integer(number).expect("positive")
}

fn domain(text: &str) -> Domain {
    Domain::new(text).expect("a host name")
}

fn slug_host(n: i64) -> String {
    format!("s{n}.app.example")
}

fn domain_host(n: i64) -> String {
    format!("d{n}.example")
}

fn by_id(number: i64) -> String {
    format!("id {number}")
}

/// Runs a storm of `requests` requests.
pub(crate) fn run(requests: u64) -> Report {
    let started = Instant::now();
    let catalog = Arc::new(MemoryCatalog::new());
    let history = Arc::new(History::new());
    populate(&catalog, &history);
    let address = serve(&catalog);
    let stop = Arc::new(AtomicBool::new(false));
    let left = Arc::new(AtomicU64::new(requests));
    let report = Arc::new(Mutex::new(Report::default()));
    let changer = {
        let (catalog, history, stop) = (catalog.clone(), history.clone(), stop.clone());
        std::thread::spawn(move || change(&catalog, &history, &stop))
    };
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| {
            let (history, left, report) = (history.clone(), left.clone(), report.clone());
            std::thread::spawn(move || client(address, &history, &left, &report, Random(seed)))
        })
        .collect();
    let panicked = clients.into_iter().filter_map(|client| client.join().err()).count();
    stop.store(true, Ordering::Relaxed);
    let changes = changer.join();
    let mut report = std::mem::take(&mut *report.lock().unwrap_or_else(PoisonError::into_inner));
    report.wrong.extend((0..panicked).map(|_| "a client panicked".to_owned()));
    report.wrong.extend(changes.is_err().then(|| "who changes the tenants panicked".to_owned()));
    let changes = changes.unwrap_or_default();
    Report { changes, elapsed: started.elapsed(), ..report }
}

fn populate(catalog: &MemoryCatalog, history: &History) {
    for n in 1..=TENANTS {
        let names = [slug_host(n), domain_host(n), by_id(n)].map(|name| (name, Some(n)));
        history.change(&names, || {
            let tenant = Tenant::builder(id(n), format!("s{n}").parse().expect("a slug"))
                .with_domain(domain(&domain_host(n)))
                .build();
            catalog.insert(tenant.expect("a tenant")).expect("a new tenant");
        });
    }
}

/// Starts the server, on a runtime of its own.
fn serve(catalog: &Arc<MemoryCatalog>) -> SocketAddr {
    let base = [domain("app.example")];
    let resolver = Resolver::builder(catalog.clone())
        .with_strategy(SubdomainStrategy::new(base.clone()))
        .with_strategy(DomainStrategy::new().with_base_domains(base))
        .with_strategy(HeaderStrategy::new())
        .with_strategy(QueryStrategy::new("tenant"))
        .build()
        .expect("a resolver");
    let app = Router::new().fallback(any(whose)).layer(ResolveTenantLayer::new(resolver));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket option");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app).await
        })
    });
    address
}

/// Answers with the tenant, if the extractor and the scope agree before and after a while.
async fn whose(CurrentTenant(tenant): CurrentTenant) -> String {
    for _ in 0..3 {
        match TenantContext::current() {
            Ok(current) if current.id() == tenant.id() => tokio::task::yield_now().await,
            _ => return "mixed up".into(),
        }
    }
    tenant.id().to_string()
}

/// Changes tenants until it is told to stop: status, slug, and names handed from one to the other. Returns how often.
fn change(catalog: &MemoryCatalog, history: &History, stop: &AtomicBool) -> u64 {
    let mut random = Random(99);
    let mut slugs: Vec<Option<i64>> = (0..NAMES).map(|n| (1..=TENANTS).contains(&n).then_some(n)).collect();
    let mut domains = slugs.clone();
    let mut changes = 0;
    while !stop.load(Ordering::Relaxed) {
        changes += 1;
        match random.below(3) {
            0 => {
                let n = 1 + random.number(TENANTS);
                for status in [TenantStatus::Suspended, TenantStatus::Active] {
                    let active = status.is_active().then_some(n);
                    history.change(&[(by_id(n), active)], || {
                        catalog.set_status(&id(n), status).expect("a known tenant");
                    });
                    pause(&mut random);
                }
            }
            1 => hand_over_slug(catalog, history, &mut slugs, &mut random),
            _ => hand_over_domain(catalog, history, &mut domains, &mut random),
        }
        pause(&mut random);
    }
    changes
}

fn pause(random: &mut Random) {
    std::thread::sleep(Duration::from_micros(random.below(1_500)));
}

/// One tenant takes a free slug, and another takes at once the one that it had.
fn hand_over_slug(
    catalog: &MemoryCatalog,
    history: &History,
    slugs: &mut [Option<i64>],
    random: &mut Random,
) {
    for _ in 0..2 {
        let tenant = 1 + random.number(TENANTS);
        let free: Vec<usize> = (0..slugs.len()).filter(|n| slugs[*n].is_none()).collect();
        let to = free[random.below(free.len() as u64) as usize];
        let from = slugs.iter().position(|owner| *owner == Some(tenant)).expect("everybody has one");
        let names = [(slug_host(from as i64), None), (slug_host(to as i64), Some(tenant))];
        history.change(&names, || {
            let slug = format!("s{to}").parse().expect("a slug");
            catalog.update(&id(tenant), |tenant| tenant.with_slug(slug)).expect("a free slug");
        });
        (slugs[from], slugs[to]) = (None, Some(tenant));
    }
}

/// One tenant gives a domain up, and another takes it at once.
fn hand_over_domain(
    catalog: &MemoryCatalog,
    history: &History,
    domains: &mut [Option<i64>],
    random: &mut Random,
) {
    let n = random.number(NAMES) as usize;
    let (name, next) = (domain(&domain_host(n as i64)), 1 + random.number(TENANTS));
    if let Some(owner) = domains[n].take() {
        history.change(&[(domain_host(n as i64), None)], || {
            catalog.update(&id(owner), |tenant| tenant.without_domain(&name)).expect("a known tenant");
        });
    }
    history.change(&[(domain_host(n as i64), Some(next))], || {
        catalog.update(&id(next), |tenant| tenant.with_domain(name)).expect("a free domain");
    });
    domains[n] = Some(next);
}

/// What a request says, and what it must get.
struct Asked {
    text: String,
    names: Vec<String>,
    /// It says two things in one place: it can never be served.
    broken: bool,
}

fn ask(random: &mut Random) -> Asked {
    let n = random.number(NAMES);
    let host = if random.below(2) == 0 { slug_host(n) } else { domain_host(n) };
    let (mut names, mut head, mut query) = (vec![host.clone()], format!("Host: {host}\r\n"), String::new());
    let broken = random.below(20) == 0;
    if broken {
        head += &format!("Host: {}\r\n", slug_host(random.number(NAMES)));
    }
    let other = 1 + random.number(TENANTS);
    match random.below(4) {
        0 => {
            head += &format!("X-Tenant-Id: {other}\r\n");
            names.push(by_id(other));
        }
        1 => {
            query = format!("?tenant={other}");
            names.push(by_id(other));
        }
        _ => {}
    }
    Asked { text: format!("GET /x{query} HTTP/1.1\r\n{head}\r\n"), names, broken }
}

fn client(
    address: SocketAddr,
    history: &History,
    left: &AtomicU64,
    report: &Mutex<Report>,
    mut random: Random,
) {
    let mut connection = None;
    let mut mine = Report::default();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let asked = ask(&mut random);
        let from = history.now();
        let answer = exchange(&mut connection, address, &asked.text);
        let until = history.now();
        judge(&mut mine, history, &asked, &answer, from, until);
        // Suspended while the answer was on its way: the connection was cut.
        let kind = match &answer {
            None => "cut".to_owned(),
            Some((200, _)) => "served".into(),
            Some((status, _)) => status.to_string(),
        };
        *mine.answers.entry(kind).or_default() += 1;
    }
    let mut all = report.lock().unwrap_or_else(PoisonError::into_inner);
    mine.answers.into_iter().for_each(|(kind, count)| *all.answers.entry(kind).or_default() += count);
    all.steady += mine.steady;
    all.wrong.extend(mine.wrong);
}

fn judge(
    report: &mut Report,
    history: &History,
    asked: &Asked,
    answer: &Option<(u16, String)>,
    from: u64,
    until: u64,
) {
    let meant: Vec<_> = asked.names.iter().map(|name| history.meant(name, from, until)).collect();
    let may = |tenant: i64| {
        let named = meant.iter().all(|(owners, _)| owners.contains(&Some(tenant)));
        !asked.broken && named && history.meant(&by_id(tenant), from, until).0.contains(&Some(tenant))
    };
    let steady = |tenant: i64| {
        let named = meant.iter().all(|(owners, steady)| *steady && *owners == [Some(tenant)]);
        !asked.broken && named && history.meant(&by_id(tenant), from, until) == (vec![Some(tenant)], true)
    };
    let served = answer.as_ref().filter(|(status, _)| *status == 200).map(|(_, body)| body);
    match served.map(|body| body.parse::<i64>()) {
        Some(Ok(tenant)) if may(tenant) => report.steady += u64::from(steady(tenant)),
        Some(_) => report.wrong.push(format!("{:?} was answered {answer:?}; it meant {meant:?}", asked.text)),
        None => {
            if let Some(tenant) = meant[0].0.first().copied().flatten().filter(|tenant| steady(*tenant)) {
                report.wrong.push(format!("{:?} of {tenant} was refused: {answer:?}", asked.text));
            }
        }
    }
}

/// Sends a request, on the connection of before if there is one. `None`: the answer broke off.
fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    text: &str,
) -> Option<(u16, String)> {
    let mut stream = connection.take().unwrap_or_else(|| {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        BufReader::new(stream)
    });
    stream.get_mut().write_all(text.as_bytes()).ok()?;
    let (mut status, mut length, mut line) = (0, 0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let text = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = text.strip_prefix("http/1.1 ") {
            status = rest.split(' ').next()?.parse().ok()?;
        } else if let Some(value) = text.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        } else if text.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    *connection = Some(stream);
    Some((status, String::from_utf8(body).ok()?))
}
