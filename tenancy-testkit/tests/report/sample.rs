//! A report with something of everything.

use std::time::Duration;

use tenancy_testkit::report::{
    Check, Detector, Finding, Leak, MatrixCell, Mend, OperationCoverage, Report, Severity, Step, StepKind,
};

pub(crate) const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

pub(crate) fn sample() -> Report {
    Report {
        service: "orders service".into(),
        seed: "5f1c0a9e".into(),
        budget: Duration::from_secs(30),
        elapsed: Duration::from_millis(29_870),
        time_to_first_catch: Some(Duration::from_millis(412)),
        programs: 3_184,
        requests: 71_402,
        tenants: TENANTS.map(str::to_owned).to_vec(),
        coverage: coverage(),
        matrix: matrix(),
        checks: checks(),
        leaks: vec![by_id(), stale_cache()],
        doctor: Some(findings()),
        void: Vec::new(),
    }
}

fn coverage() -> Vec<OperationCoverage> {
    let row = |operation: &str, own, foreign, missing| OperationCoverage {
        operation: operation.into(),
        own,
        foreign,
        missing,
    };
    vec![
        row("GET /orders", 9_120, 4_410, 812),
        row("GET /orders/{id}", 12_034, 11_876, 790),
        row("POST /orders", 6_402, 3_100, 402),
        row("PATCH /orders/{id}/status", 2_011, 1_904, 60),
        row("GET /reports/revenue", 340, 122, 9),
        row("GET /admin/export", 12, 0, 3),
    ]
}

fn matrix() -> Vec<MatrixCell> {
    let mut cells = Vec::new();
    for (row, to) in TENANTS.iter().enumerate() {
        for (column, from) in TENANTS.iter().enumerate() {
            let leaks = match (*from, *to) {
                ("acme", "globex") => 31,
                ("globex", "acme") => 2,
                _ => 0,
            };
            let requests = 4_000 - 310 * (row + 2 * column) as u64;
            if (*from, *to) != ("umbrella", "initech") {
                cells.push(MatrixCell { from: (*from).into(), to: (*to).into(), requests, leaks });
            }
        }
    }
    cells
}

fn checks() -> Vec<Check> {
    let check = |detector, observations, planted_seen| Check { detector, observations, planted_seen };
    vec![
        check(Detector::D1, 71_402, Some(true)),
        check(Detector::D2, 204_118, Some(true)),
        check(Detector::D3, 18_220, Some(true)),
        check(Detector::D4, 3_184, Some(true)),
        check(Detector::D6, 3_184, Some(true)),
        check(Detector::D9, 88, Some(true)),
        check(Detector::D10, 5_204, None),
    ]
}

fn request(tenant: &str, request: &str, answer: &str, leaks: bool) -> Step {
    Step {
        kind: StepKind::Request,
        tenant: tenant.into(),
        request: request.into(),
        answer: answer.into(),
        leaks,
    }
}

fn by_id() -> Leak {
    Leak {
        detector: Detector::D1,
        from: "acme".into(),
        to: "globex".into(),
        request: "GET /orders/7".into(),
        what: "the body holds acme's canary of orders.note".into(),
        program: "acme    POST /orders {\"note\": \"‹canary›\"}   → 201, id 7\nglobex  GET  /orders/7                      \
                  → 200, leaks acme's orders.note"
            .into(),
        curl: vec![
            "curl -X POST -H 'Host: acme.example' -H 'content-type: application/json' -d '{\"note\":\"k7q2\"}' \
             http://127.0.0.1:8080/orders"
                .into(),
            "curl -H 'Host: globex.example' http://127.0.0.1:8080/orders/7".into(),
        ],
        seed: "5f1c0a9e-1c".into(),
        steps: vec![
            request("acme", "POST /orders", "201, id 7", false),
            request("globex", "GET /orders/7", "200, 1 row", true),
        ],
        shrunk_from: 44,
        found_after: Duration::from_millis(412),
    }
}

fn stale_cache() -> Leak {
    Leak {
        detector: Detector::D9,
        from: "globex".into(),
        to: "acme".into(),
        request: "GET /reports/revenue".into(),
        what: "globex was served 2.1 s after its suspension, from acme's warm cache entry".into(),
        program: "globex  GET /reports/revenue?from=2026-01-01&to=2026-12-31   → 200\nsuspend globex\nwait 1.1 s\n\
                  acme    GET /reports/revenue                                → 200\nnobody  GET /reports/revenue → 401"
            .into(),
        curl: vec!["curl -H 'Host: globex.example' http://127.0.0.1:8080/reports/revenue".into()],
        seed: "5f1c0a9e-9a".into(),
        steps: vec![
            request("globex", "GET /reports/revenue?from=2026-01-01&to=2026-12-31", "200, 12 rows", false),
            Step { kind: StepKind::Event, request: "globex is suspended, 1.1 s pass".into(), ..Step::default() },
            request("acme", "GET /reports/revenue", "200, totals of globex", true),
            request("", "GET /reports/revenue", "401", false),
        ],
        shrunk_from: 118,
        found_after: Duration::from_millis(9_120),
    }
}

fn findings() -> Vec<Finding> {
    let finding = |code: &str, severity, kind: &str, object: &str, what: &str, why: &str, mend| Finding {
        code: code.into(),
        rule: "rule".into(),
        severity,
        kind: kind.into(),
        object: object.into(),
        what: what.into(),
        why: why.into(),
        mend,
    };
    vec![
        finding(
            "TD010",
            Severity::Error,
            "table",
            "public.orders",
            "has neither row-level security nor a policy",
            "There is no second wall: one statement without a filter reads and changes every tenant's rows.",
            Mend::Sql(
                "ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY; ALTER TABLE public.orders FORCE ROW LEVEL \
                 SECURITY; CREATE POLICY tenancy ON public.orders USING (tenant_id = (SELECT \
                 nullif(current_setting('tenancy.tenant_id', true), '')::bigint));"
                    .into(),
            ),
        ),
        finding(
            "TD101",
            Severity::Warning,
            "connection",
            "transaction pooler",
            "two client connections that are open at the same time share one of the server's",
            "A session's settings reach the next client of the same server connection.",
            Mend::Advice("Set the tenant inside of each transaction alone.".into()),
        ),
        finding(
            "TD056",
            Severity::Note,
            "index",
            "public.orders_at",
            "serves public.orders and is not led by tenant_id",
            "A scoped query reads every tenant's entries of the index before it finds its own.",
            Mend::Declare("owned = [\"public.orders\"]".into()),
        ),
    ]
}

/// The same with every text of the service's replaced by `text`.
pub(crate) fn hostile(text: &str) -> Report {
    let mut report = sample();
    let text = || text.to_owned();
    report.service = text();
    report.seed = text();
    report.tenants = vec![text()];
    report.void = vec![text()];
    report.coverage[0].operation = text();
    report.matrix[0] = MatrixCell { from: text(), to: text(), requests: 1, leaks: 1 };
    for leak in &mut report.leaks {
        for field in [
            &mut leak.from,
            &mut leak.to,
            &mut leak.request,
            &mut leak.what,
            &mut leak.program,
            &mut leak.seed,
        ] {
            *field = text();
        }
        leak.curl = vec![text()];
        for step in &mut leak.steps {
            for field in [&mut step.tenant, &mut step.request, &mut step.answer] {
                *field = text();
            }
        }
    }
    for finding in report.doctor.iter_mut().flatten() {
        for field in
            [&mut finding.code, &mut finding.kind, &mut finding.object, &mut finding.what, &mut finding.why]
        {
            *field = text();
        }
        finding.mend = match &finding.mend {
            Mend::Sql(_) => Mend::Sql(text()),
            Mend::Declare(_) => Mend::Declare(text()),
            _ => Mend::Advice(text()),
        };
    }
    report
}
