//! Exact figures: instructions per call, by callgrind.
//!
//! ```text
//! cargo bench --bench instructions -- --save-summary=json
//! ```
//!
//! Needs valgrind, and gungraun's runner in the same version as the library:
//! `cargo install gungraun-runner --version 0.20.0 --locked`.

// The macros of the harness make items that nobody can document, and name them in full.
#![allow(missing_docs, unused_qualifications)]

use std::hint::black_box;

use gungraun::prelude::*;
use tenancy_benches::resolve::layer_group_of;
use tenancy_testkit::gate::Group;

/// What a first call sets up, such as a thread's locals and the linker's tables, is no part of a call.
const WARM_UP: u64 = 200;
/// As many as the gate divides by.
const CALLS: u64 = 100;

fn prepare(bench: &str) -> (Group, usize) {
    warmed_up(layer_group_of(1_000), bench)
}

fn prepare_of(group: &str, bench: &str) -> (Group, usize) {
    let suite = tenancy_benches::suite();
    let group = suite.groups(|name| name == group).next().expect("the suite has this group");
    warmed_up(group, bench)
}

fn warmed_up(mut group: Group, bench: &str) -> (Group, usize) {
    let at = group.names().position(|name| name == bench).expect("the group has this bench");
    group.run(at, WARM_UP);
    (group, at)
}

#[library_benchmark(setup = prepare)]
#[bench::bare("bare")]
#[bench::set_request_header("set-request-header")]
#[bench::trace("trace")]
#[bench::by_hand("by-hand")]
#[bench::domain("domain")]
#[bench::subdomain("subdomain")]
#[bench::header("header")]
#[bench::path("path")]
#[bench::domain_extension("domain-extension")]
#[bench::subdomain_extension("subdomain-extension")]
#[bench::header_extension("header-extension")]
#[bench::path_extension("path-extension")]
#[bench::path_stripped("path-stripped")]
#[bench::path_stripped_extension("path-stripped-extension")]
#[bench::domain_default("domain-default")]
fn layer((mut group, at): (Group, usize)) -> Group {
    black_box(group.run(at, CALLS));
    group
}

#[library_benchmark(setup = prepare_of)]
#[bench::moka("names/hit-integer", "moka")]
#[bench::tenant_cache("names/hit-integer", "tenant-cache")]
fn hit_integer((mut group, at): (Group, usize)) -> Group {
    black_box(group.run(at, CALLS));
    group
}

#[library_benchmark(setup = prepare_of)]
#[bench::moka("names/hit-uuid", "moka")]
#[bench::tenant_cache("names/hit-uuid", "tenant-cache")]
fn hit_uuid((mut group, at): (Group, usize)) -> Group {
    black_box(group.run(at, CALLS));
    group
}

#[library_benchmark(setup = prepare_of)]
#[bench::moka("names/hit-text", "moka")]
#[bench::tenant_cache("names/hit-text", "tenant-cache")]
fn hit_text((mut group, at): (Group, usize)) -> Group {
    black_box(group.run(at, CALLS));
    group
}

library_benchmark_group!(name = resolve, benchmarks = [layer]);
library_benchmark_group!(name = names, benchmarks = [hit_integer, hit_uuid, hit_text]);
main!(library_benchmark_groups = [resolve, names]);
