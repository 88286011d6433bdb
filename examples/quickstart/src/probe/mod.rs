//! The examples: printed for a person to paste, and run by `--check`.

mod client;
mod run;

use std::fmt::Write;
use std::net::SocketAddr;

pub use run::{check, run};

/// What the examples need to know of the rows: the reader is Acme (tenant 1), the others' are Globex's (tenant 2).
#[derive(Clone, Debug)]
pub struct Facts {
    pub my_rows: u64,
    pub mine: i64,
    pub my_workflow: i64,
    pub theirs: i64,
    pub their_workflow: i64,
    pub their_cursor: String,
}

/// One request and what is expected of its answer.
#[derive(Clone, Debug)]
pub struct Probe {
    pub title: &'static str,
    pub method: &'static str,
    /// The host without the port; the service listens on the loopback address alone.
    pub host: &'static str,
    pub path: String,
    pub tenant_header: Option<&'static str>,
    pub body: Option<String>,
    pub expect: Expect,
}

/// What is expected of an answer.
#[derive(Clone, Debug)]
pub struct Expect {
    pub status: u16,
    /// The tenant in the envelope. Every row's name then begins with that tenant's slug.
    pub tenant: Option<(&'static str, &'static str)>,
    /// How many rows the answer counts.
    pub rows: Option<u64>,
    /// Where the answer came from: `hit` or `miss` of the tenant's cache.
    pub cache: Option<&'static str>,
    /// The title of an earlier example whose answer was the same to the byte.
    pub same_as: Option<&'static str>,
    /// The following examples replace `{created}` in their path by the id of this answer's row.
    pub creates: bool,
}

fn status(status: u16) -> Expect {
    Expect { status, tenant: None, rows: None, cache: None, same_as: None, creates: false }
}

impl Expect {
    fn of_acme(self) -> Self {
        Self { tenant: Some(("1", "acme")), ..self }
    }

    fn of_globex(self) -> Self {
        Self { tenant: Some(("2", "globex")), ..self }
    }

    fn counts(self, rows: u64) -> Self {
        Self { rows: Some(rows), ..self }
    }

    fn cache(self, source: &'static str) -> Self {
        Self { cache: Some(source), ..self }
    }

    fn same_as(self, title: &'static str) -> Self {
        Self { same_as: Some(title), ..self }
    }

    fn creates(self) -> Self {
        Self { creates: true, ..self }
    }
}

const LOCAL: &str = "127.0.0.1";

fn probe(title: &'static str, method: &'static str, path: impl Into<String>, expect: Expect) -> Probe {
    Probe { title, method, host: LOCAL, path: path.into(), tenant_header: Some("1"), body: None, expect }
}

impl Probe {
    fn tenant(mut self, id: impl Into<Option<&'static str>>) -> Self {
        self.tenant_header = id.into();
        self
    }

    fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    fn body(mut self, body: serde_json::Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// The command that sends the same request.
    fn curl(&self, port: u16) -> String {
        let mut line = "curl -si".to_owned();
        if self.method != "GET" {
            let _ = write!(line, " -X {}", self.method);
        }
        if let Some(id) = self.tenant_header {
            let _ = write!(line, " -H 'x-tenant-id: {id}'");
        }
        if let Some(body) = &self.body {
            let _ = write!(line, " --json '{body}'");
        }
        if self.host.ends_with(".localhost") {
            let _ = write!(line, " --resolve {}:{port}:127.0.0.1", self.host);
        }
        let _ = write!(line, " 'http://{}:{port}{}'", self.host, self.path);
        line
    }
}

/// Returns the examples, in the order in which they are to be tried.
pub fn all(facts: &Facts) -> Vec<Probe> {
    let mut probes = reading(facts);
    probes.extend(writing(facts));
    probes.extend(refused());
    probes
}

fn reading(facts: &Facts) -> Vec<Probe> {
    let Facts { my_rows, mine, theirs, their_workflow, their_cursor, .. } = facts;
    let list = "/api/deployments";
    vec![
        probe("Acme's deployments", "GET", list, status(200).of_acme().counts(*my_rows).cache("miss")),
        probe("the same URL for Globex", "GET", list, status(200).of_globex().cache("miss")).tenant("2"),
        probe("by subdomain", "GET", list, status(200).of_acme().cache("hit"))
            .host("acme.localhost")
            .tenant(None),
        probe("filtered", "GET", format!("{list}?status=failed&limit=3"), status(200).of_acme()),
        probe("next page", "GET", format!("{list}?cursor=1.{mine}&limit=3"), status(200).of_acme()),
        probe("counts", "GET", "/api/stats", status(200).of_acme().counts(*my_rows)),
        probe("Acme's row", "GET", format!("{list}/{mine}"), status(200).of_acme()),
        probe("no such row", "GET", format!("{list}/999999999"), status(404)),
        probe("Globex's row", "GET", format!("{list}/{theirs}"), status(404).same_as("no such row")),
        probe(
            "Globex's workflow",
            "GET",
            format!("{list}?workflow_id={their_workflow}"),
            status(200).of_acme(),
        ),
        probe("Globex's cursor", "GET", format!("{list}?cursor={their_cursor}"), status(422)),
        probe("an unknown filter", "GET", format!("{list}?tenant_id=2"), status(422)),
    ]
}

fn writing(facts: &Facts) -> Vec<Probe> {
    let Facts { my_rows, theirs, my_workflow, their_workflow, .. } = facts;
    let list = "/api/deployments";
    let new = |workflow: i64| serde_json::json!({"workflow_id": workflow, "version": "2.0", "environment": "staging"});
    let planted =
        serde_json::json!({"workflow_id": my_workflow, "version": "2.0", "environment": "x", "tenant_id": 2});
    let change = serde_json::json!({"status": "failed"});
    let their_row = format!("{list}/{theirs}");
    vec![
        probe("deploy", "POST", list, status(201).of_acme().creates()).body(new(*my_workflow)),
        probe(
            "the list after the write",
            "GET",
            list,
            status(200).of_acme().counts(my_rows + 1).cache("miss"),
        ),
        probe("Globex's list after it", "GET", list, status(200).of_globex().cache("hit")).tenant("2"),
        probe("change it", "PATCH", format!("{list}/{{created}}"), status(200).of_acme())
            .body(change.clone()),
        probe("remove it", "DELETE", format!("{list}/{{created}}"), status(204)),
        probe("remove it again", "DELETE", format!("{list}/{{created}}"), status(404)),
        probe("deploy Globex's workflow", "POST", list, status(422)).body(new(*their_workflow)),
        probe("deploy into Globex", "POST", list, status(422)).body(planted),
        probe("change Globex's row", "PATCH", their_row.clone(), status(404)).body(change),
        probe("remove Globex's row", "DELETE", their_row.clone(), status(404)),
        probe("it is still there", "GET", their_row, status(200).of_globex()).tenant("2"),
    ]
}

fn refused() -> Vec<Probe> {
    let stats = |title, code| probe(title, "GET", "/api/stats", code);
    vec![
        stats("no tenant", status(400)).tenant(None),
        stats("an unknown tenant", status(404)).tenant("4711"),
        stats("a suspended tenant", status(404).same_as("an unknown tenant")).tenant("3"),
        stats("an unknown subdomain", status(404).same_as("an unknown tenant"))
            .host("nobody.localhost")
            .tenant(None),
        stats("two tenants at once", status(403)).host("acme.localhost").tenant("2"),
        stats("no tenant id", status(400)).tenant("1 OR 1=1"),
        probe("a route without a tenant", "GET", "/health", status(200)).tenant(None),
    ]
}

/// Returns what is printed when the service starts.
pub fn introduction(address: SocketAddr, backend: &str, probes: &[Probe]) -> String {
    let mut text = format!(
        "The deployments API runs on {backend} at http://{address}\n\
         Tenants: 1 acme (active), 2 globex (active), 3 initech (suspended)\n\nTry:\n"
    );
    for probe in probes.iter().filter(|probe| !probe.path.contains("{created}")) {
        let _ =
            write!(text, "\n# {} -> {}\n{}\n", probe.title, probe.expect.status, probe.curl(address.port()));
    }
    text.push_str("\nCtrl-C stops it.");
    text
}
