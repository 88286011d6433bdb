//! What becomes of findings: text, JSON, SARIF, a baseline.

use serde_json::Value;
use tenancy_testkit::doctor::{Baseline, Doctor, rules};

use crate::support::{TestResult, clean, declared, run};

const HOSTILE: &str = "CREATE VIEW \"<script>{0}\u{1b}[2J\" AS SELECT * FROM orders; \
                       ALTER TABLE orders NO FORCE ROW LEVEL SECURITY";

#[tokio::test]
async fn a_baseline_knows_findings_until_they_are_gone() -> TestResult {
    let db = clean().await;
    run(db.owner_url(), "ALTER TABLE orders DISABLE ROW LEVEL SECURITY").await?;
    let first = Doctor::new(declared()).examine(&db).await?;
    assert_eq!((first.exit_code(), first.findings.len()), (1, 1));

    let file = std::env::temp_dir().join(format!("{}.json", db.name()));
    first.to_baseline().write(&file)?;
    let baseline = Baseline::read(&file)?;
    std::fs::remove_file(&file)?;
    assert_eq!(baseline, first.to_baseline());

    run(db.owner_url(), "ALTER TABLE events DISABLE ROW LEVEL SECURITY").await?;
    let second = Doctor::new(declared()).with_baseline(baseline.clone()).examine(&db).await?;
    let keys = |diagnosis: &tenancy_testkit::doctor::Diagnosis| crate::support::keys(&diagnosis.findings);
    assert_eq!(keys(&second), ["TD011 table public.events"], "only what is new fails");
    assert_eq!((second.exit_code(), second.known.len(), second.stale.len()), (1, 1, 0));

    run(
        db.owner_url(),
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE events ENABLE ROW LEVEL SECURITY",
    )
    .await?;
    let third = Doctor::new(declared()).with_baseline(baseline).examine(&db).await?;
    assert_eq!(third.stale, ["TD011 table public.orders"]);
    assert_eq!((third.exit_code(), third.known.len()), (0, 0));
    assert!(third.to_text().contains("gone    TD011 table public.orders"));
    assert!(Baseline::from_json("{\"known\": [{\"code\": \"TD010\"}]}").is_err());
    Ok(())
}

#[tokio::test]
async fn text_tells_each_finding_and_lets_no_name_write_to_the_terminal() -> TestResult {
    let db = clean().await;
    run(db.owner_url(), HOSTILE).await?;
    let diagnosis = Doctor::new(declared()).examine(&db).await?;
    let text = diagnosis.to_text();
    assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}[2J"), "{text}");
    assert!(
        text.contains("error   TD030  view") && text.contains("mend    ALTER TABLE public.orders FORCE"),
        "{text}"
    );
    assert!(text.ends_with("not healthy: 1 errors, 1 warnings, 0 notes, 0 known, 0 gone\n"), "{text}");
    let json: Value = serde_json::from_str(&diagnosis.to_json())?;
    assert_eq!(json["findings"][1]["mend"]["sql"], "ALTER TABLE public.orders FORCE ROW LEVEL SECURITY;");
    Ok(())
}

/// The properties that the schema of SARIF 2.1.0 requires, of every object that is written.
#[tokio::test]
async fn sarif_has_what_its_schema_requires() -> TestResult {
    let db = clean().await;
    run(db.owner_url(), HOSTILE).await?;
    let first = Doctor::new(declared()).examine(&db).await?;
    let known = Baseline { known: first.to_baseline().known.into_iter().take(1).collect() };
    let sarif: Value =
        serde_json::from_str(&Doctor::new(declared()).with_baseline(known).examine(&db).await?.to_sarif())?;
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "tenancy-doctor");
    let described = driver["rules"].as_array().ok_or("an array of rules")?;
    assert_eq!(described.len(), rules().count());
    for rule in described {
        assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string());
        assert!(
            ["note", "warning", "error"].iter().any(|level| rule["defaultConfiguration"]["level"] == *level)
        );
    }
    let results = run["results"].as_array().ok_or("an array of results")?;
    assert_eq!(results.len(), 2);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().ok_or("an index")?)?;
        assert_eq!(described[index]["id"], result["ruleId"]);
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
        assert!(result["partialFingerprints"]["finding/v1"].is_string());
        assert!(result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].is_string());
        assert!(["note", "warning", "error"].iter().any(|level| result["level"] == *level));
    }
    let message = results
        .iter()
        .find_map(|result| result["message"]["text"].as_str().filter(|m| m.contains("<script>")));
    assert!(message.is_some_and(|text| text.contains("{{0}}")), "a name's braces are no placeholder");
    let suppressed: Vec<_> =
        results.iter().filter(|result| result["suppressions"][0]["kind"] == "external").collect();
    assert_eq!(suppressed.len(), 1);
    Ok(())
}
