//! A short storm; `cargo run --release -p tenancy-tower --example storm -- --requests 1000000` is the long one.

#[path = "../../examples/storm/history.rs"]
mod history;
#[path = "../../examples/storm/storm.rs"]
mod storm;

/// DIR-01, DIR-02, DIR-03: no request is served for a tenant that it does not name, or that is not active.
#[test]
fn no_change_under_way_lets_a_request_through_to_the_wrong_tenant() {
    let report = storm::run(20_000);
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert!(report.answers["served"] > 1_000, "{report}");
}

/// The oracle itself: it tells who was meant before, while and after a name changed hands.
#[test]
fn the_history_knows_who_was_meant_when() {
    let history = history::History::new();
    let name = || "n".to_owned();
    let nobody = history.now();
    history.change(&[(name(), Some(1))], || {});
    let one = history.now();
    let mut during = 0;
    history.change(&[(name(), Some(2))], || during = history.now());
    let two = history.now();
    assert_eq!(history.meant("n", nobody, nobody), (vec![None], true));
    assert_eq!(
        history.meant("n", nobody, one),
        (vec![Some(1), None], false),
        "its first owner is a change too"
    );
    assert_eq!(history.meant("n", one, one), (vec![Some(1)], true));
    assert_eq!(history.meant("n", two, two), (vec![Some(2)], true));
    assert_eq!(history.meant("n", during, during), (vec![Some(2), Some(1)], false));
    assert_eq!(history.meant("n", one, two), (vec![Some(2), Some(1)], false));
    assert_eq!(history.meant("other", one, two), (vec![None], true));
}
