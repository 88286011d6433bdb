//! D2: another tenant's canary in a log line or span of a request, a canary in metrics, and the database's error text.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

use super::canary::{Canaries, Sighting, heard_before};
use super::{Detector, Finding};
use crate::check::program::run::Record;

/// Enough for what one step logs; a service that logs every statement's text fills more than this in seconds.
const MOST: usize = 4 << 20;

/// What the service has said to `tracing` since it was last asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<String>>);

thread_local! {
    static CAPTURED: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

impl Log {
    /// Captures what this thread logs, and nothing of other threads: tests beside this one keep their subscriber.
    pub(crate) fn capture_this_thread(&self) {
        let guard = tracing::subscriber::set_default(Capture { log: self.clone(), spans: AtomicU64::new(0) });
        CAPTURED.with(|captured| *captured.borrow_mut() = Some(guard));
    }

    pub(crate) fn release_this_thread() {
        CAPTURED.with(|captured| drop(captured.borrow_mut().take()));
    }

    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A line as a leaky service would write it.
    pub(crate) fn plant(&self, text: &str) {
        self.add(|log| log.push_str(text));
    }

    fn add(&self, write: impl FnOnce(&mut String)) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() < MOST {
            write(&mut text);
            text.push('\n');
        }
    }
}

/// Keeps no spans: one that is closed on another thread, or by a dropped request in the middle of somebody else's span, is
/// nothing to it, where a registry would panic.
struct Capture {
    log: Log,
    spans: AtomicU64,
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text does not fail.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.log.add(|text| {
            text.push_str(attributes.metadata().name());
            attributes.record(&mut Fields(text));
        });
        Id::from_u64(1 + self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Values<'_>) {
        self.log.add(|text| values.record(&mut Fields(text)));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.log.add(|text| {
            text.push_str(event.metadata().target());
            event.record(&mut Fields(text));
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A canary of somebody else in what was logged while one tenant's requests alone were under way.
pub(crate) fn judge(
    text: &str,
    caller: usize,
    step: u16,
    canaries: &Canaries,
    said: &BTreeSet<Sighting>,
) -> Option<Finding> {
    let mut found = canaries.find(text.as_bytes()).into_iter();
    let foreign = found.find(|sighting| sighting.owner != caller && !heard_before(sighting, said))?;
    Some(Finding {
        detector: Detector::Log,
        what: format!("\"{}\" in what the service logged", foreign.text),
        from: Some(foreign.owner),
        to: Some(caller),
        step,
        call: 0,
    })
}

/// Any canary in a text that belongs to no tenant, such as the metrics.
pub(crate) fn judge_shared(name: &str, text: &str, step: u16, canaries: &Canaries) -> Option<Finding> {
    let sighting = canaries.find(text.as_bytes()).into_iter().next()?;
    Some(Finding {
        detector: Detector::Log,
        what: format!("\"{}\" in {name}", sighting.text),
        from: Some(sighting.owner),
        to: None,
        step,
        call: 0,
    })
}

/// How PostgreSQL's messages read. What such a text says of a key or a row, it says of whomever the row belongs to.
const DATABASE_TEXTS: [&str; 8] = [
    "duplicate key value violates",
    "violates foreign key constraint",
    "violates check constraint",
    "violates not-null constraint",
    "invalid input syntax for",
    "Failing row contains",
    "is still referenced from table",
    "syntax error at or near",
];

/// The database's own error text as an answer to a request that aimed at another tenant's data.
pub(crate) fn judge_error_text(record: &Record) -> Option<Finding> {
    let answer = record.answer.as_ref().filter(|answer| answer.status >= 400)?;
    if !record.outgoing.used.foreign {
        return None;
    }
    let body = String::from_utf8_lossy(&answer.body);
    let text = DATABASE_TEXTS.iter().find(|text| body.contains(*text))?;
    Some(Finding {
        detector: Detector::Log,
        what: format!("the database's error text (\"{text}\") in the answer to another tenant's value"),
        from: None,
        to: Some(record.caller),
        step: record.step,
        call: record.call,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_spans_of_this_thread_are_captured_and_others_are_not() {
        let log = Log::default();
        log.capture_this_thread();
        tracing::info!(row = "first", "an event");
        let span = tracing::info_span!("request", id = "second", later = tracing::field::Empty);
        span.record("later", "third");
        std::thread::spawn(|| tracing::info!("elsewhere")).join().expect("it ends");
        Log::release_this_thread();
        tracing::info!("afterwards");
        let text = log.take();
        for part in ["an event", "first", "second", "third"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("elsewhere") && !text.contains("afterwards"), "{text}");
    }
}
