//! The search on services that leak on purpose, and on services that do not.

mod harm;
mod ledger;
mod pages;
mod shop;

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use serde_json::json;
use tenancy_testkit::check::{Check, Credential, Detector, Operation, Service, Verdict, World};
use tenancy_testkit::report::{Report, Verdict as Sum};
use tenancy_testkit::{Error, ErrorKind};

use shop::Bug;

fn check(bug: Bug) -> Check {
    Check::new(move |world| shop::start(bug, world))
}

/// No test waits for this: a number of programs ends each search.
const LONG: Duration = Duration::from_secs(600);

fn searched(bug: Bug) -> Result<Verdict, Error> {
    check(bug).with_budget(LONG).with_programs(40).run()
}

/// Each kind of leak, and the detectors that may be the first to notice it.
const LEAKS: [(Bug, &[Detector]); 19] = [
    (Bug::List, &[Detector::Canary]),
    (Bug::ById, &[Detector::Canary, Detector::Oracle]),
    (Bug::Logged, &[Detector::Log]),
    (Bug::Total, &[Detector::Twin]),
    (Bug::Default, &[Detector::Unresolved, Detector::Canary]),
    (Bug::FirstOfTwo, &[Detector::Unresolved]),
    (Bug::Unreadable, &[Detector::Unresolved]),
    (Bug::Suspended, &[Detector::Lifecycle]),
    (Bug::Forbidden, &[Detector::Oracle]),
    (Bug::Cached, &[Detector::Canary, Detector::Twin]),
    (Bug::Emptied, &[Detector::Cache]),
    (Bug::Joined, &[Detector::Canary]),
    (Bug::Interleaved, &[Detector::Canary]),
    (Bug::Remembered, &[Detector::Canary]),
    (Bug::Restored, &[Detector::Canary]),
    (Bug::Crowded, &[Detector::Canary]),
    (Bug::Forwarded, &[Detector::Canary, Detector::Unresolved, Detector::Cache]),
    (Bug::NeverThere, &[Detector::Lifecycle]),
    (Bug::Spelled, &[Detector::Lifecycle]),
];

/// KIT-01, KIT-05, KIT-06: what leaks is found, by the detector that is made for it, and its seed shows it again.
#[test]
fn every_leak_of_the_shop_is_found_and_replayed() {
    for (bug, detectors) in LEAKS {
        let verdict = searched(bug).unwrap_or_else(|error| panic!("{bug:?}: {error:?}"));
        let leak =
            verdict.leak.unwrap_or_else(|| panic!("{bug:?} was not found in {} programs", verdict.programs));
        assert!(detectors.contains(&leak.detector), "{bug:?} was found by {leak}");
        let again = check(bug).replay(&leak.seed).expect("the seed reads");
        assert_eq!(again.map(|again| again.detector), Some(leak.detector), "{bug:?}: {}", leak.seed);
        // Without the leak the same program finds nothing.
        let mended = check(Bug::None).replay(&leak.seed).expect("the seed reads");
        assert!(mended.is_none(), "{bug:?}: {}", leak.seed);
        assert!(leak.steps <= 12, "{bug:?} takes {} steps to show: {leak}", leak.steps);
    }
}

/// KIT-10: what differs for reasons of its own is no leak; KIT-02: and everything was exercised.
#[test]
fn services_that_keep_tenants_apart_pass() {
    for bug in [Bug::None, Bug::Moment, Bug::Throttled, Bug::Busy] {
        let verdict = check(bug).with_budget(LONG).with_programs(6).run();
        let verdict = verdict.unwrap_or_else(|error| panic!("{bug:?}: {error:?}"));
        assert!(verdict.leak.is_none(), "{bug:?}: {}", verdict.leak.expect("a leak"));
        assert_eq!(verdict.programs, 6, "{verdict:?}");
    }
}

/// KIT-08: the seed of a failure fails again; a leak that depends on nothing does so every time.
#[test]
fn a_seed_fails_again_in_99_of_100_tries() {
    for bug in [Bug::ById, Bug::Total, Bug::Forbidden] {
        let leak = searched(bug).expect("it runs").leak.expect("a leak");
        let again = || check(bug).replay(&leak.seed).is_ok_and(|leak| leak.is_some());
        // Most of a replay is waiting: a twin that differs is given time to become the same.
        let failed: usize = std::thread::scope(|scope| {
            let tenth = || (0..10).filter(|_| again()).count();
            let tenths: Vec<_> = (0..10).map(|_| scope.spawn(tenth)).collect();
            tenths.into_iter().map(|tenth| tenth.join().expect("a replay does not panic")).sum()
        });
        assert!(failed >= 99, "{bug:?} failed again in {failed} of 100 tries: {}", leak.seed);
    }
}

/// The access matrix is checked in: what an operation answers to whom is a line of a diff.
#[test]
fn the_access_matrix_of_the_shop_is_the_one_that_was_reviewed() {
    let verdict = check(Bug::None).with_budget(LONG).with_programs(6).run().expect("it runs");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/check/matrix.txt");
    verdict.matrix.assert_matches(file).expect("the matrix is as it was");
    let leaky = searched(Bug::ById).expect("it runs");
    let error = leaky.matrix.assert_matches(file).expect_err("another tenant's orders are served");
    assert_eq!(error.kind(), ErrorKind::Matrix);
}

/// The report of a run: its leak, its detectors that have proved themselves, and who asked for whose things.
#[test]
fn a_run_is_a_report() {
    let verdict = searched(Bug::ById).expect("it runs");
    let report = verdict.report("shop");
    assert_eq!(report.verdict(), Sum::Leaks);
    let text = report.to_json();
    assert_eq!(Report::from_json(&text).expect("it reads").to_json(), text);
    assert!(report.leaks[0].steps.iter().any(|step| step.leaks), "{:?}", report.leaks[0].steps);
    let clean = check(Bug::None).with_budget(LONG).with_programs(4).run().expect("it runs").report("shop");
    assert_eq!(clean.verdict(), Sum::Clean);
    assert!(
        clean.checks.iter().filter(|check| check.planted_seen == Some(true)).count() >= 5,
        "{:?}",
        clean.checks
    );
    assert!(clean.matrix.iter().any(|cell| cell.from != cell.to && cell.requests > 0), "{:?}", clean.matrix);
}

async fn mute(_: World) -> Result<Service, Error> {
    let router = Router::new().route("/orders", get(|| async { "[]" }).post(|| async { "{}" }));
    Ok(described(router))
}

fn described(router: Router) -> Service {
    Service::new(router)
        .with_credential("host", |tenant| Credential::new().with_host(format!("{}.test", tenant.slug())))
        .with_operation(Operation::get("/orders"))
        .with_operation(Operation::post("/orders").with_body_like(json!({ "note": "" })))
}

/// KIT-02: a service that answers nothing leaks nothing, and proves nothing.
#[test]
fn a_service_that_answers_nothing_does_not_pass() {
    let run = Check::new(mute).with_budget(LONG).with_programs(3).run();
    // Whoever asks is served, with a tenant and without one.
    let verdict = run.expect("a leak outweighs what is not proved");
    assert_eq!(verdict.leak.map(|leak| leak.detector), Some(Detector::Unresolved));
}

/// KIT-02: an operation that never succeeds is named, and the run does not pass.
#[test]
fn an_operation_that_never_succeeds_makes_the_run_void() {
    let start = |world: World| async move {
        let service = shop::start(Bug::None, world).await?;
        Ok::<_, std::io::Error>(service.with_operation(Operation::get("/nowhere")))
    };
    let run = || Check::new(start).with_budget(LONG).with_programs(4);
    let error = run().run().expect_err("nothing was seen of it");
    assert_eq!(error.kind(), ErrorKind::Void);
    assert!(error.to_string().contains("GET /nowhere"), "{error}");
    assert_eq!(run().with_partial_coverage().run().expect("it may").not_exercised, ["GET /nowhere"]);
}

/// A description without operations, and a seed that is none, are refused with a kind.
#[test]
fn what_makes_no_sense_is_refused() {
    let empty =
        |_: World| async { Ok::<_, Error>(Service::new(Router::new().route("/", post(|| async {})))) };
    let error = Check::new(empty).run().expect_err("there is nothing to ask for");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let error = check(Bug::None).replay("5f1c").expect_err("no seed");
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

/// A server that already runs is searched by its URL; what leaks there leaks over the wire.
#[test]
fn a_server_that_runs_is_searched_by_its_url() {
    for (bug, detector) in [(Bug::None, None), (Bug::List, Some(Detector::Canary))] {
        let check = Check::new(move |world| shop::serve(bug, world)).with_budget(LONG).with_programs(4);
        let verdict = check.run().unwrap_or_else(|error| panic!("{bug:?}: {error:?}"));
        assert_eq!(verdict.leak.as_ref().map(|leak| leak.detector), detector, "{:?}", verdict.leak);
        assert!(verdict.requests > 50 || detector.is_some(), "{verdict:?}");
    }
    for wrong in ["", "https://127.0.0.1:1", "127.0.0.1:1", "http://"] {
        assert_eq!(Service::at(wrong).expect_err("no URL").kind(), ErrorKind::Configuration, "{wrong}");
    }
}

/// What the guide shows is what an example runs, word for word.
#[test]
fn the_guide_of_ten_minutes_shows_the_code_that_is_tested() {
    let guide = include_str!("../../../TEN-MINUTES.md");
    let example = include_str!("../../../../examples/quickstart/tests/integration/isolation.rs");
    let blocks: Vec<&str> =
        guide.split("```rust,ignore\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        assert!(example.contains(block), "the example does not hold:\n{block}");
    }
}
