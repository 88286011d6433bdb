//! Exact figures: allocations per call, and bytes per tenant.
//!
//! ```text
//! cargo bench --bench counts -- --out FILE
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use allocation_counter::measure;
use tenancy_benches::fixture;
use tenancy_testkit::gate::{BenchRun, GroupRun, Machine, Run, Suite};

/// Enough for what is set up by a first call, such as a thread's locals.
const WARM_UP: u64 = 100;
const CALLS: u64 = 1_000;

fn main() -> ExitCode {
    let mut groups = allocations(&tenancy_benches::suite());
    groups.push(memory());
    #[cfg(feature = "statements")]
    groups.extend(idle_tenants());
    let run = Run { machine: Machine::here(), groups };
    for group in &run.groups {
        for bench in &group.benches {
            println!("{}/{:<32} {:?}", group.name, bench.name, bench.counts);
        }
    }
    let out = std::env::args().skip_while(|arg| arg != "--out").nth(1).map(PathBuf::from);
    match out.map(|out| run.write(&out)) {
        Some(Err(error)) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The groups that run on one thread, or the beginnings of their names.
const COUNTED: &[&str] = &[
    "resolve/layer",
    "resolve/agreement",
    "names/",
    "statement/by-id",
    "statement/join",
    "statement/in-list",
    "statement/handle",
];

/// Counts what each call takes from the allocator.
fn allocations(suite: &Suite) -> Vec<GroupRun> {
    let groups = suite.groups(|name| COUNTED.iter().any(|counted| name.starts_with(counted)));
    groups
        .map(|mut group| {
            let names: Vec<String> = group.names().map(str::to_owned).collect();
            let benches = names.into_iter().enumerate().map(|(at, name)| {
                group.run(at, WARM_UP);
                let info = measure(|| {
                    group.run(at, CALLS);
                });
                let per_call = |count: u64| count as f64 / CALLS as f64;
                let counts = [
                    ("allocations".to_owned(), per_call(info.count_total)),
                    ("bytes".to_owned(), per_call(info.bytes_total)),
                ];
                BenchRun { name, counts: counts.into(), ..BenchRun::default() }
            });
            let benches = benches.collect();
            GroupRun { name: group.name().to_owned(), paired: true, benches }
        })
        .collect()
}

/// Counts what a catalog holds on to.
fn memory() -> GroupRun {
    let benches = [100, 10_000, 1_000_000].map(|size| {
        let mut catalog = None;
        let info = measure(|| catalog = Some(fixture::tenants(fixture::scaled(size))));
        let bytes = info.bytes_current as f64 / fixture::scaled(size) as f64;
        BenchRun {
            name: format!("tenant-of-{size}"),
            counts: [("bytes".to_owned(), bytes)].into(),
            ..BenchRun::default()
        }
    });
    GroupRun { name: "resolve/memory".to_owned(), paired: false, benches: benches.into() }
}

/// Counts what a tenant with a schema of its own leaves behind, here and in its connection's server process.
#[cfg(feature = "statements")]
fn idle_tenants() -> Option<GroupRun> {
    let memory = tenancy_benches::placement::memory()?;
    let bytes = memory.of_each(|serve| measure(serve).bytes_current as f64);
    let benches = bytes.into_iter().map(|(name, bytes)| BenchRun {
        name: format!("idle-tenant-{name}"),
        counts: [("bytes".to_owned(), bytes)].into(),
        ..BenchRun::default()
    });
    Some(GroupRun { name: "placement/memory".to_owned(), paired: false, benches: benches.collect() })
}
