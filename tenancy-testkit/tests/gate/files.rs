//! What other tools leave behind, and what the gate leaves behind.

use std::fs;
use std::path::{Path, PathBuf};

use tenancy_testkit::gate::{
    BenchRun, Budgets, ErrorKind, GroupRun, History, Machine, Moment, Report, Run, judge,
};

use crate::support::paired;

/// A directory of its own, gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tenancy-gate-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn criterion_bench(scratch: &Scratch, at: &str, function: &str, sample: &str) {
    let benchmark =
        format!(r#"{{"group_id":"copy","function_id":"{function}","value_str":"64","full_id":"copy/x"}}"#);
    scratch.put(&format!("copy/{function}/64/{at}/benchmark.json"), &benchmark);
    scratch.put(&format!("copy/{function}/64/{at}/sample.json"), sample);
}

#[test]
fn the_newest_samples_of_criterion_are_read() {
    let scratch = Scratch::new("criterion");
    let old = r#"{"sampling_mode":"Linear","iters":[1.0],"times":[9.0]}"#;
    criterion_bench(&scratch, "base", "short", old);
    criterion_bench(
        &scratch,
        "new",
        "short",
        r#"{"sampling_mode":"Linear","iters":[10.0,20.0],"times":[1000.0,2100.0]}"#,
    );
    let run = Run::from_criterion(scratch.path()).unwrap();
    assert_eq!(run.groups.len(), 1);
    assert!(!run.groups[0].paired, "criterion measures one after the other");
    assert_eq!(run.groups[0].bench("short/64").unwrap().rounds, [100.0, 105.0]);

    criterion_bench(&scratch, "new", "odd", r#"{"iters":[10.0],"times":[1.0,2.0]}"#);
    assert_eq!(Run::from_criterion(scratch.path()).unwrap_err().kind(), ErrorKind::Unreadable);
    assert_eq!(Run::from_criterion(&scratch.path().join("gone")).unwrap_err().kind(), ErrorKind::Unreadable);
}

#[test]
fn instructions_of_gungraun_are_read() {
    let scratch = Scratch::new("gungraun");
    let summary = r#"{"function_name":"layer","group":"resolve","id":"by_hand","profiles":[
        {"data":{"parts":[{"metrics":{"Ir":{"values":{"new":60000}}}}]}}]}"#;
    scratch.put("package/file/resolve/layer.by_hand/summary.json", summary);
    let run = Run::from_gungraun(scratch.path(), 100).unwrap();
    let counts = &run.group("resolve/layer").unwrap().bench("by-hand").unwrap().counts;
    assert_eq!(counts["instructions"].to_bits(), 600.0_f64.to_bits());
    scratch.put("package/file/resolve/layer.odd/summary.json", r#"{"function_name":"layer"}"#);
    assert_eq!(Run::from_gungraun(scratch.path(), 100).unwrap_err().kind(), ErrorKind::Unreadable);
}

#[test]
fn pairs_are_not_replaced_by_what_was_measured_one_after_the_other() {
    let mut run = paired(&[("left", vec![1.0, 2.0]), ("right", vec![3.0, 4.0])]);
    let mut other = paired(&[("left", vec![7.0]), ("right", vec![8.0])]);
    other.groups[0].paired = false;
    run.merge(other.clone());
    assert_eq!(run.groups[0].bench("left").unwrap().rounds, [1.0, 2.0]);
    other.merge(run.clone());
    assert_eq!(other.groups, run.groups);
    let again = paired(&[("left", vec![5.0, 6.0]), ("right", vec![5.0, 6.0])]);
    run.merge(again.clone());
    assert_eq!(run.groups, again.groups);
}

#[test]
fn counts_that_come_first_do_not_choose_the_baseline() {
    let counted = |name: &str| BenchRun {
        name: name.to_owned(),
        counts: [("instructions".to_owned(), 7.0)].into(),
        ..BenchRun::default()
    };
    let group = GroupRun {
        name: "group".to_owned(),
        paired: false,
        benches: vec![counted("added"), counted("bare")],
    };
    let mut run = Run { groups: vec![group], ..Run::default() };
    run.merge(paired(&[("bare", vec![1.0]), ("added", vec![2.0])]));
    assert_eq!(run.groups[0].benches[0].name, "bare");
    assert_eq!(run.groups[0].benches[0].counts.len(), 1);
    run.groups[0].benches.swap(0, 1);
    run.merge(paired(&[("bare", vec![1.0]), ("added", vec![2.0])]));
    assert_eq!(run.groups[0].benches[0].name, "bare");
}

#[test]
fn a_report_leaves_a_table_a_comment_and_a_plot_of_each_group() {
    let scratch = Scratch::new("report");
    let rounds = |ns: f64| (0..50).map(|round| ns + f64::from(round % 7)).collect::<Vec<_>>();
    let run = paired(&[("left", rounds(400.0)), ("right", rounds(440.0))]);
    let budgets = "[[budget]]\nbench = 'group/right'\nmetric = 'ratio'\nat-most = 1.02";
    let findings = judge(&Budgets::parse(budgets).unwrap(), &run).unwrap();
    let report = Report::new(Machine::here(), findings);
    assert!(report.terminal().contains("OVER"), "{}", report.terminal());
    assert!(report.markdown().contains("| group/right | ratio | 1.09"), "{}", report.markdown());
    let results = report.results(&run);
    assert!(results.contains("| `group/left` | 403 ns |  |  |"), "{results}");
    assert!(results.contains("| `group/right` | 443 ns | 40 ns | 1.09"), "{results}");

    let history = scratch.path().join("history.jsonl");
    for revision in ["one", "two"] {
        History::append(&history, &Moment::of(&Run { machine: Machine::here(), ..run.clone() }, revision))
            .unwrap();
    }
    let history = History::read(&history, &Machine::here()).unwrap();
    assert_eq!(history.of("group/left").count(), 2);
    report.write(scratch.path(), &run, &history).unwrap();
    let plot = fs::read_to_string(scratch.path().join("group.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("right") && plot.contains("median by run"));
    let json = fs::read(scratch.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&json).unwrap().exit_code(), 1);
}

#[test]
fn medians_of_another_machine_make_no_trend() {
    let scratch = Scratch::new("history");
    let path = scratch.path().join("history.jsonl");
    let run = paired(&[("left", vec![1.0])]);
    History::append(&path, &Moment::of(&run, "elsewhere")).unwrap();
    assert!(History::read(&path, &Machine::here()).unwrap().0.is_empty());
    assert_eq!(History::read(&path, &run.machine).unwrap().0.len(), 1);
    fs::write(&path, "no moment\n").unwrap();
    assert_eq!(History::read(&path, &run.machine).unwrap_err().kind(), ErrorKind::Unreadable);
}
