//! Findings as SARIF 2.1.0, which code hosts and editors read.

use serde_json::{Value, json};

use super::{diagnosis::Diagnosis, rules::rules};
use crate::finding::{Finding, Mend};

pub(super) fn write(diagnosis: &Diagnosis) -> String {
    let known = diagnosis.known.iter().map(|finding| (finding, true));
    let results: Vec<Value> =
        diagnosis.findings.iter().map(|finding| (finding, false)).chain(known).map(result).collect();
    let described: Vec<Value> = rules()
        .map(|rule| {
            json!({
                "id": rule.code,
                "name": rule.name,
                "shortDescription": { "text": rule.name.replace('-', " ") },
                "fullDescription": { "text": rule.why },
                "defaultConfiguration": { "level": rule.severity.as_str() },
                "properties": { "tags": rule.threats },
            })
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tenancy-doctor",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": described,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&log).expect("a value has a form in JSON")
}

fn result((finding, known): (&Finding, bool)) -> Value {
    let mend = match &finding.mend {
        Mend::Sql(text) => format!("Mend: {text}"),
        Mend::Declare(text) => format!("Declare: {text}"),
        Mend::Advice(text) => text.clone(),
    };
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": rules().position(|rule| rule.code == finding.code),
        "level": finding.severity.as_str(),
        // A message's text is plain, but braces are placeholders in it.
        "message": { "text": escaped(&format!("{} {} {}. {} {mend}", finding.kind, finding.object, finding.what, finding.why)) },
        "locations": [{ "logicalLocations": [{ "fullyQualifiedName": finding.object, "kind": finding.kind }] }],
        "partialFingerprints": { "finding/v1": finding.key() },
    });
    if known {
        result["suppressions"] =
            json!([{ "kind": "external", "status": "accepted", "justification": "in the baseline" }]);
    }
    result
}

/// Doubles braces, as section 3.11.5 of the standard asks.
fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}
