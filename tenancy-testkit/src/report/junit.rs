//! A report as JUnit XML, which every CI shows.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::model::{Leak, OperationCoverage, Report};
use crate::finding::{Finding, Severity};

/// One test case: what it is called, how long it took, and what is wrong with it.
struct Case {
    class: &'static str,
    name: String,
    seconds: f64,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed { message: String, detail: String },
    Void(String),
}

/// Writes `report` as one suite: a case for each leak, operation and finding, and one for the search as a whole.
pub(super) fn write(report: &Report) -> String {
    let cases = cases(report);
    let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
    let failures = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let errors = count(|outcome| matches!(outcome, Outcome::Void(_)));
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written =
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None))).and_then(|()| {
            let suite = writer.create_element("testsuite").with_attributes([
                ("name", allowed(&format!("tenancy: {}", report.service)).as_str()),
                ("tests", cases.len().to_string().as_str()),
                ("failures", failures.to_string().as_str()),
                ("errors", errors.to_string().as_str()),
                ("time", format!("{:.3}", report.elapsed.as_secs_f64()).as_str()),
            ]);
            suite.write_inner_content(|writer| cases.iter().try_for_each(|case| case.write(writer))).map(drop)
        });
    written.expect("a vector takes what is written to it");
    String::from_utf8(writer.into_inner()).expect("it is made of text") + "\n"
}

fn cases(report: &Report) -> Vec<Case> {
    let seconds = report.elapsed.as_secs_f64();
    let whole = Case {
        class: "tenancy.search",
        name: format!("{} programs, {} requests, seed {}", report.programs, report.requests, report.seed),
        seconds,
        outcome: if report.void.is_empty() { Outcome::Passed } else { Outcome::Void(report.void.join("\n")) },
    };
    let mut cases = vec![whole];
    cases.extend(report.leaks.iter().map(leak));
    cases.extend(report.coverage.iter().map(operation));
    cases.extend(report.doctor.iter().flatten().map(finding));
    cases
}

fn leak(leak: &Leak) -> Case {
    let curl = leak.curl.join("\n");
    Case {
        class: "tenancy.leak",
        name: format!("{} from {} to {} by {}", leak.detector, leak.from, leak.to, leak.request),
        seconds: leak.found_after.as_secs_f64(),
        outcome: Outcome::Failed {
            message: leak.what.clone(),
            detail: format!("{}\n\n{curl}\n\nseed {}", leak.program, leak.seed),
        },
    }
}

fn operation(operation: &OperationCoverage) -> Case {
    let OperationCoverage { operation: name, own, foreign, missing } = operation;
    let outcome = if operation.is_complete() {
        Outcome::Passed
    } else {
        Outcome::Void(format!("requests: {own} own, {foreign} foreign, {missing} without a tenant"))
    };
    Case { class: "tenancy.coverage", name: name.clone(), seconds: 0.0, outcome }
}

fn finding(finding: &Finding) -> Case {
    let outcome = match finding.severity {
        Severity::Note => Outcome::Passed,
        Severity::Warning | Severity::Error => Outcome::Failed {
            message: format!("{}: {}", finding.severity, finding.what),
            detail: format!("{}\n\n{}", finding.why, finding.mend.text()),
        },
    };
    let name = format!("{} {} {}", finding.code, finding.kind, finding.object);
    Case { class: "tenancy.doctor", name, seconds: 0.0, outcome }
}

impl Case {
    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let (name, seconds) = (allowed(&self.name), format!("{:.3}", self.seconds));
        let attributes = [("classname", self.class), ("name", name.as_str()), ("time", seconds.as_str())];
        let case = writer.create_element("testcase").with_attributes(attributes);
        let (element, message, detail) = match &self.outcome {
            Outcome::Passed => return case.write_empty().map(drop),
            Outcome::Failed { message, detail } => ("failure", allowed(message), allowed(detail)),
            Outcome::Void(why) => ("error", "it proves nothing".to_owned(), allowed(why)),
        };
        case.write_inner_content(|writer| {
            let inner = writer.create_element(element).with_attribute(("message", message.as_str()));
            inner.write_text_content(BytesText::new(&detail)).map(drop)
        })
        .map(drop)
    }
}

/// Replaces what XML 1.0 (section 2.2) has no way to write.
fn allowed(text: &str) -> String {
    let is = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}');
    text.chars().map(|c| if is(c) { c } else { '\u{FFFD}' }).collect()
}
