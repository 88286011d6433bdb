//! `--check`: sends every example and compares.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::client::{Answer, send};
use super::{Expect, Probe};

/// Serves `router` on `listener` and runs the examples against it. Returns what [`run`] does.
pub async fn check(
    router: Router,
    listener: TcpListener,
    probes: &[Probe],
) -> std::io::Result<(String, usize)> {
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(crate::server::serve(router, listener, async {
        let _ = stopped.await;
    }));
    let outcome = run(address, probes).await;
    let _ = stop.send(());
    serving.await??;
    Ok(outcome)
}

/// Runs the examples in order. Returns a table of expected against seen, and how many differ.
pub async fn run(address: SocketAddr, probes: &[Probe]) -> (String, usize) {
    let mut table =
        format!("{:<26} {:<58} {:>8} {:>6} {:<5}\n", "example", "request", "expected", "seen", "cache");
    let mut failures = 0;
    let mut answers: HashMap<&str, Answer> = HashMap::new();
    let mut created = String::new();
    for probe in probes {
        let path = probe.path.replace("{created}", &created);
        let ((seen, cache), verdict) = match send(address, probe, &path).await {
            Ok(answer) => {
                let verdict = compare(&probe.expect, &answer, &answers);
                if probe.expect.creates {
                    created = row_id(&answer).unwrap_or_default();
                }
                let seen = (answer.status.to_string(), answer.cache.clone().unwrap_or_default());
                answers.insert(probe.title, answer);
                (seen, verdict)
            }
            Err(error) => (("-".to_owned(), String::new()), Err(error.to_string())),
        };
        let request =
            format!("{} {}{}", probe.method, if probe.host == super::LOCAL { "" } else { probe.host }, path);
        let mark = verdict.as_ref().err().map_or("ok".to_owned(), |why| format!("DIFFERENT: {why}"));
        failures += usize::from(verdict.is_err());
        let _ = writeln!(
            table,
            "{:<26} {request:<58} {:>8} {seen:>6} {cache:<5} {mark}",
            probe.title, probe.expect.status
        );
    }
    let _ = write!(table, "\n{} examples, {failures} different", probes.len());
    (table, failures)
}

fn compare(expect: &Expect, answer: &Answer, earlier: &HashMap<&str, Answer>) -> Result<(), String> {
    if answer.status != expect.status {
        return Err(format!("status {}", answer.status));
    }
    if answer.status >= 400 && answer.content_type != "application/problem+json" {
        return Err(format!("content type {:?}", answer.content_type));
    }
    if let Some(title) = expect.same_as {
        let same = earlier.get(title).is_some_and(|other| other.body == answer.body);
        if !same {
            return Err(format!("can be told from \"{title}\""));
        }
    }
    if expect.cache.is_some() && expect.cache != answer.cache.as_deref() {
        return Err(format!("cache {:?}", answer.cache));
    }
    if let Some((id, slug)) = expect.tenant {
        compare_rows(id, slug, &answer.body)?;
    }
    expect.rows.map_or(Ok(()), |rows| compare_count(rows, &answer.body))
}

fn compare_count(rows: u64, body: &str) -> Result<(), String> {
    let document: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let counted = document["pagination"]["total"].as_u64().or(document["data"]["deployments"].as_u64());
    if counted == Some(rows) { Ok(()) } else { Err(format!("counts {counted:?} rows of {rows}")) }
}

/// The envelope names the tenant, every row is the tenant's, and no other tenant's name stands anywhere.
fn compare_rows(id: &str, slug: &str, body: &str) -> Result<(), String> {
    let document: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    if document["tenant_id"] != id {
        return Err(format!("the envelope names tenant {}", document["tenant_id"]));
    }
    let data = &document["data"];
    let rows = data.as_array().map_or(std::slice::from_ref(data), Vec::as_slice);
    for name in rows.iter().filter_map(|row| row["name"].as_str()) {
        if !name.starts_with(slug) {
            return Err(format!("a row is named {name}"));
        }
    }
    let foreign =
        ["acme", "globex", "initech"].into_iter().find(|other| *other != slug && body.contains(other));
    foreign.map_or(Ok(()), |other| Err(format!("the answer names {other}")))
}

fn row_id(answer: &Answer) -> Option<String> {
    let document: Value = serde_json::from_str(&answer.body).ok()?;
    document["data"]["id"].as_i64().map(|id| id.to_string())
}
