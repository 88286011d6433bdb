//! Features only add: each crate builds with each one alone, and with none.

use serde_json::Value;

use crate::step::{Outcome, cargo};

/// Checks every published crate with no feature, and with each feature alone.
pub(crate) fn check() -> Outcome {
    let mut failed = Vec::new();
    for package in crate::msrv::published()? {
        let name = package["name"].as_str().unwrap_or_default();
        let features = package["features"].as_object().into_iter().flat_map(|features| features.keys());
        let alone = features.map(String::as_str).filter(|feature| *feature != "default");
        for feature in std::iter::once("").chain(alone) {
            if lint(name, feature).is_err() {
                failed.push(format!("{name} with {:?}", Value::from(feature)));
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("does not build: {}", failed.join(", "))) }
}

/// With warnings denied: what only another feature uses is built with it alone.
fn lint(package: &str, feature: &str) -> Outcome {
    let with = format!("--features={feature}");
    cargo(&[
        "clippy",
        "--quiet",
        "--package",
        package,
        "--no-default-features",
        &with,
        "--",
        "--deny",
        "warnings",
    ])
}
