//! Several threads: one tenant that all of them serve, and changes while others read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tenancy_core::{MemoryCatalog, TenantId, TenantStatus};
use tenancy_testkit::gate::Group;

use super::catalog::PlainMap;
use super::{GroupExt, Layered, around, domain, scope};
use crate::fixture::{self, Bare, Requests, scaled, tenants};

/// Threads that start together on the same work, and say how long each of them took.
struct Team {
    orders: Vec<Sender<u64>>,
    reports: Receiver<Duration>,
}

impl Team {
    /// Starts `size` threads. `member` makes the work of each.
    fn new<W: FnMut() + Send + 'static>(size: usize, member: impl Fn() -> W) -> Self {
        let (report, reports) = channel();
        let ready = Arc::new(AtomicUsize::new(0));
        let orders = (0..size).map(|_| {
            let (order, orders) = channel();
            let (report, ready, work) = (report.clone(), Arc::clone(&ready), member());
            thread::spawn(move || work_together(size, &ready, &orders, &report, work));
            order
        });
        Self { orders: orders.collect(), reports }
    }

    /// Lets every thread do its work `iterations` times; returns the mean of their times.
    fn run(&self, iterations: u64) -> Duration {
        for order in &self.orders {
            order.send(iterations).expect("the thread lives as long as its orders");
        }
        let took = self.orders.iter().map(|_| self.reports.recv().expect("each thread reports"));
        took.sum::<Duration>() / u32::try_from(self.orders.len()).expect("a team is small")
    }
}

fn work_together(
    size: usize,
    ready: &AtomicUsize,
    orders: &Receiver<u64>,
    report: &Sender<Duration>,
    mut work: impl FnMut(),
) {
    let mut gathered = 0;
    while let Ok(iterations) = orders.recv() {
        gathered += size;
        ready.fetch_add(1, Ordering::AcqRel);
        while ready.load(Ordering::Acquire) < gathered {
            std::hint::spin_loop();
        }
        let start = Instant::now();
        for _ in 0..iterations {
            work();
        }
        if report.send(start.elapsed()).is_err() {
            return;
        }
    }
}

/// One and two threads that serve one and the same tenant; and the same with one plain map, whose record is counted too:
/// how long a count takes to get from one core to the other is the machine's affair.
pub(super) fn hot_tenant(mut group: Group) -> Group {
    let catalog = tenants(100);
    let (layer, map) = (scope(catalog.clone(), domain()), PlainMap::of(&catalog));
    for (name, size) in [("one", 1), ("two", 2)] {
        let bare = Team::new(size, || {
            let mut requests = Requests::new(1, 1);
            move || fixture::call(&mut Bare, &mut requests)
        });
        let team = Team::new(size, || {
            let (mut service, mut requests) = (around(&layer), Requests::new(1, 1));
            move || fixture::call(&mut service, &mut requests)
        });
        let plain = Team::new(size, || {
            let (mut service, mut requests) = (map.clone(), Requests::new(1, 1));
            move || fixture::call(&mut service, &mut requests)
        });
        group = group
            .with_timed_bench(format!("bare-{name}"), move |iterations| bare.run(iterations))
            .with_timed_bench(format!("map-{name}"), move |iterations| plain.run(iterations))
            .with_timed_bench(format!("layer-{name}"), move |iterations| team.run(iterations));
    }
    group
}

/// A thread that changes one tenant after the other until it is dropped.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(catalog: Arc<MemoryCatalog>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, count) = (Arc::clone(&stop), catalog.len());
        let thread = thread::spawn(move || {
            let mut turn = 0;
            while !stopped.load(Ordering::Acquire) {
                turn = (turn + 7_919) % count;
                let id = TenantId::integer(turn as i64 + 1).expect("an id is positive");
                catalog.set_status(&id, TenantStatus::Active).expect("the tenant is there");
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// How many tenants stand in a catalog that changes.
pub(super) const CHANGING: usize = 1_000_000;

/// A service over a catalog that is at rest, and one over a catalog that changes all the time. They run on the same
/// machine beside the same writer, so that what is left is what readers pay for the changes.
pub(super) fn rest_and_change() -> (Layered, Layered, Writer) {
    let (resting, changing) = (tenants(scaled(CHANGING)), tenants(scaled(CHANGING)));
    let service = |catalog: &Arc<MemoryCatalog>| around(&scope(catalog.clone(), domain()));
    let (rest, change) = (service(&resting), service(&changing));
    (rest, change, Writer::start(changing))
}

/// Readers of a million tenants, while another thread changes tenants without a pause.
pub(super) fn under_updates(group: Group) -> Group {
    let requests = || Requests::new(1_024, scaled(CHANGING));
    let (rest, mut change, writer) = rest_and_change();
    let mut changing = requests();
    group.with_service("bare", Bare, requests()).with_service("at-rest", rest, requests()).with_bench(
        "changing",
        move || {
            let _writer = &writer;
            fixture::call(&mut change, &mut changing);
        },
    )
}
