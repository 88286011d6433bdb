//! What logs and metrics learn of requests: the tenant of served ones, the reason of refused ones, and nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use axum::http::{Request, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use tenancy_core::TenantContext;
use tower::{Layer, ServiceExt};
use tracing::field::{Field, Visit};
use tracing::{Event, Instrument, Subscriber, span};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::world::{layer, oneshot};

fn to(host: &str) -> Request<()> {
    Request::get("/").header("host", host).body(()).unwrap()
}

/// Counts by the whole key: name and labels.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

struct One(Counts, String);

impl CounterFn for One {
    fn increment(&self, value: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {}
}

impl metrics::Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Counter::from_arc(Arc::new(One(self.clone(), format!("{}{{{}}}", key.name(), labels.join(",")))))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn counted(hosts: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || {
        for host in hosts {
            oneshot_now(to(&host));
        }
    });
    let counts = counts.0.lock().unwrap();
    counts.clone()
}

fn oneshot_now(request: Request<()>) {
    thread_local! {
        static LAYER: tenancy_tower::ResolveTenantLayer<tenancy_core::Resolver> = layer("both");
    }
    let service = LAYER.with(|layer| {
        layer.layer(tower::service_fn(async |_: Request<()>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }))
    });
    service.oneshot(request).now_or_never().expect("a catalog in memory does not wait").unwrap();
}

#[test]
fn refusals_are_counted_by_reason() {
    let hosts = [
        "unknown.example",
        "hooli.example",
        "www.app.example",
        "acme.app.example",
        "u@x",
        "old.acme.example",
    ];
    let counts = counted(hosts.into_iter().map(String::from));
    let expected = [
        ("tenancy_rejections_total{reason=host_malformed}", 1),
        ("tenancy_rejections_total{reason=moved}", 1),
        ("tenancy_rejections_total{reason=signal_malformed}", 1),
        ("tenancy_rejections_total{reason=unknown_tenant}", 2),
    ];
    assert_eq!(counts, expected.map(|(key, count)| (key.to_owned(), count)).into());
}

/// CORE-19
#[test]
fn a_flood_of_made_up_hosts_makes_no_new_labels() {
    let hosts = (0..30_000).flat_map(|n| {
        [
            format!("h{n}.example"),
            format!("h{n}.app.example"),
            format!("x.h{n}.app.example"),
            format!("h{n}:x"),
        ]
    });
    let counts = counted(hosts);
    assert_eq!(counts.values().sum::<u64>(), 120_000);
    assert_eq!(counts.len(), 3, "{counts:?}");
}

/// Writes down the tenant of each span, and for each event who was in scope and what its span says.
#[derive(Clone, Default)]
struct Seen {
    events: Arc<Mutex<Vec<(String, String)>>>,
    refusals: Arc<Mutex<Vec<String>>>,
}

struct TenantOf(String);

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Seen {
    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(tenant) = fields.0.remove("tenant.id") {
            context.span(id).unwrap().extensions_mut().insert(TenantOf(tenant));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if event.metadata().target() == "tenancy::rejection" {
            let all: Vec<_> = fields.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.refusals.lock().unwrap().push(all.join(" "));
        } else if event.metadata().target() == "handler" {
            let span = context.event_span(event).unwrap();
            let tenant =
                span.extensions().get::<TenantOf>().map_or_else(String::new, |tenant| tenant.0.clone());
            self.events.lock().unwrap().push((fields.0.remove("scope").unwrap(), tenant));
        }
    }
}

/// CORE-18
#[tokio::test]
async fn a_log_line_shows_the_tenant_that_did_the_work_also_where_two_are_interleaved() {
    let seen = Seen::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(seen.clone()));
    let request = async |host: &str| {
        let service = layer("sub").layer(tower::service_fn(async |_: Request<()>| {
            for _ in 0..10 {
                tracing::info!(target: "handler", scope = %TenantContext::current().unwrap().id());
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));
        let span = tracing::info_span!("request", tenant.id = tracing::field::Empty);
        service.oneshot(to(host)).instrument(span).await.unwrap();
    };
    tokio::join!(request("acme.app.example"), request("globex.app.example"), request("acme.app.example"));
    let events = seen.events.lock().unwrap();
    assert_eq!(events.len(), 30);
    assert!(events.iter().all(|(scope, span)| scope == span), "{events:?}");
    assert_eq!(events.iter().map(|(scope, _)| &**scope).collect::<BTreeSet<_>>(), ["1", "2"].into());
}

#[tokio::test]
async fn a_refusal_is_an_event_with_its_reason_and_nothing_of_the_request() {
    let seen = Seen::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(seen.clone()));
    oneshot("both", to("secret-plans.app.example")).await;
    oneshot("down", to("acme.app.example")).await;
    let refusals = seen.refusals.lock().unwrap();
    assert_eq!(refusals.len(), 2);
    assert!(refusals[0].contains(r#"reason="unknown_tenant""#), "{refusals:?}");
    assert!(refusals[1].contains("tenant catalog did not answer"), "{refusals:?}");
    assert!(!refusals.iter().any(|line| line.contains("secret-plans")), "{refusals:?}");
}
