//! The run without guards, over tiny suites: this binary again.

mod suite;

use std::env;
use std::process::Command;

use tenancy_testkit::guards::{Answer, ErrorKind, Guard, Guards, Roll};

use crate::support::TestResult;

/// What the suites have tests for.
const HERE: [Guard; 4] = [Guard::Agreement, Guard::Key, Guard::Policy, Guard::Force];

/// The suite of this name, whose tests nobody runs but who names them.
fn command(suite: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this binary"));
    command.args([&format!("guards::suite::{suite}::"), "--ignored"]).env("RUST_BACKTRACE", "0");
    command
}

fn answers(roll: &Roll) -> Vec<Answer> {
    roll.tried.iter().map(|tried| tried.answer).collect()
}

#[test]
fn a_suite_that_looks_notices_each_guard_that_is_missing() -> TestResult {
    let mut told = 0;
    let roll = Guards::new(command("watchful")).with_guards(HERE).run_and_tell(|_| told += 1)?;
    assert_eq!(answers(&roll), [Answer::Noticed; 4], "{roll}");
    assert_eq!((roll.exit_code(), told), (0, 4));
    let by = |at: usize| roll.tried[at].failed.join(" ").replace("guards::suite::watchful::", "");
    assert_eq!(by(0), "two_tenants_in_one_request_are_refused");
    assert_eq!(by(1), "keys_of_two_tenants_differ");
    assert_eq!(by(2), "an_owner_sees_no_rows_but_its_tenants the_application_sees_no_rows_but_its_tenants");
    assert_eq!(by(3), "an_owner_sees_no_rows_but_its_tenants");
    assert!(roll.to_string().ends_with("The suite notices each guard that is missing.\n"), "{roll}");
    Ok(())
}

/// The twin: each guard is missed, and no test says so.
#[test]
fn a_suite_that_does_not_look_fails_with_the_names_of_the_guards() -> TestResult {
    let roll = Guards::new(command("careless")).with_guards(HERE).with_unused(Guard::Key).run()?;
    assert_eq!(answers(&roll), [Answer::Unnoticed; 4], "a guard that is missed is in use:\n{roll}");
    assert_eq!(roll.exit_code(), 1);
    assert!(roll.to_string().ends_with("not prove to notice: agreement, key, policy, force\n"), "{roll}");
    let json: serde_json::Value = serde_json::from_str(&roll.to_json())?;
    assert_eq!(json["survivors"], serde_json::json!(["agreement", "key", "policy", "force"]));
    assert_eq!(json["guards"][0]["answer"], "unnoticed");
    Ok(())
}

#[test]
fn a_guard_that_no_test_comes_to_is_told_from_one_that_is_not_in_use() -> TestResult {
    let one = || Guards::new(command("blind")).with_guards([Guard::Key]);
    let (missing, unused) = (one().run()?, one().with_unused(Guard::Key).run()?);
    assert_eq!((answers(&missing), missing.exit_code()), (vec![Answer::NeverMissed], 1), "{missing}");
    assert_eq!((answers(&unused), unused.exit_code()), (vec![Answer::Unused], 0), "{unused}");
    Ok(())
}

#[test]
fn a_suite_that_is_red_for_another_reason_has_not_noticed() -> TestResult {
    let roll = Guards::new(command("restless")).with_guards([Guard::Key]).run()?;
    assert_eq!((answers(&roll), roll.exit_code()), (vec![Answer::OtherReason], 1), "{roll}");
    Ok(())
}

#[test]
fn a_suite_that_is_red_anyway_proves_nothing() {
    let refused = Guards::new(command("red")).run().expect_err("it is red with all guards standing");
    assert_eq!(refused.kind(), ErrorKind::Red);
    assert!(refused.to_string().contains("guards::suite::red::it_fails"), "{refused}");
    let refused = Guards::new(Command::new("tenancy-no-such-program")).run().expect_err("no program");
    assert_eq!(refused.kind(), ErrorKind::Command);
}

#[test]
fn a_name_that_is_none_of_a_guard_is_refused() -> TestResult {
    for (name, green) in [("agreement", true), ("layers", false), ("", false)] {
        let output = command("neutral").env(Guard::VARIABLE, name).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.success(), green, "{name:?}: {text}");
        assert_eq!(text.contains("is no guard; there are layer,"), !green, "{name:?}: {text}");
    }
    Ok(())
}
