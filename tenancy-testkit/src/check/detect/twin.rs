//! D3: an answer differs from that of a service which holds this tenant alone.

use std::collections::{BTreeMap, BTreeSet};

use super::normal::{Mask, differences, normal_headers, normal_text};
use super::{Detector, Finding};
use crate::check::program::run::{Answer, Record};

/// Places that differ between two runs of the very same program: time, chance, and whatever else is nobody's doing.
pub(crate) type Noise = BTreeSet<(String, String)>;

/// What is compared of an answer.
const MASK: Mask = Mask { texts: false };

/// The first of a tenant's answers that is not as it is alone, and the place of the difference.
pub(crate) fn judge(shared: &[Record], alone: &[Record], noise: &Noise) -> Option<(Finding, String)> {
    // A wrongly named tenant is another matter: the other one that it names is not there when the tenant is alone. And ids
    // of chance come in another order there, so that others stand behind one of them.
    let comparable =
        |(record, _): &(&Record, &Record)| record.signal.is_proper() && !record.outgoing.used.by_chance;
    for (record, twin) in paired(shared, alone).filter(comparable) {
        let (Some(answer), Some(other)) = (&record.answer, &twin.answer) else {
            // A write that nobody waited for may have happened in one of the two.
            if record.reads { continue } else { return None }
        };
        if answer.is_throttled() || other.is_throttled() {
            // From here on the two have not done the same.
            return None;
        }
        let fresh = places(record, answer, other).into_iter();
        let fresh = fresh.filter(|place| !noise.contains(&(record.name.clone(), place.clone())));
        let Some(place) = fresh.into_iter().next() else { continue };
        let what = match place.as_str() {
            "status" => format!("answered {}, and {} where the tenant is alone", answer.status, other.status),
            place => format!("the answer differs from that of the tenant alone at {place}"),
        };
        let finding = Finding {
            detector: Detector::Twin,
            what,
            from: None,
            to: Some(record.caller),
            step: record.step,
            call: record.call,
        };
        return Some((finding, place));
    }
    None
}

/// What differs between two runs of the same program in the same world.
pub(crate) fn learn(first: &[Record], second: &[Record], noise: &mut Noise) {
    for (record, other) in paired(first, second) {
        if let (Some(a), Some(b)) = (&record.answer, &other.answer) {
            noise.extend(places(record, a, b).into_iter().map(|place| (record.name.clone(), place)));
        }
    }
}

/// The records of the same step and request.
fn paired<'a>(shared: &'a [Record], alone: &'a [Record]) -> impl Iterator<Item = (&'a Record, &'a Record)> {
    let twins: BTreeMap<_, _> = alone.iter().map(|record| (record.key(), record)).collect();
    shared.iter().filter_map(move |record| Some((record, *twins.get(&record.key())?)))
}

fn places(record: &Record, a: &Answer, b: &Answer) -> Vec<String> {
    if a.status != b.status {
        return vec!["status".into()];
    }
    let mut places = match (&a.json, &b.json) {
        (Some(x), Some(y)) => differences(x, y, MASK),
        _ if normal_text(&a.body, MASK) != normal_text(&b.body, MASK) => vec!["the body".into()],
        _ => Vec::new(),
    };
    let (x, y) = (normal_headers(&a.headers), normal_headers(&b.headers));
    let names = x.keys().chain(y.keys().filter(|name| !x.contains_key(*name)));
    places.extend(names.filter(|name| x.get(*name) != y.get(*name)).map(|name| format!("the header {name}")));
    // What was asked for by another tenant's id is echoed in one and unknown in both.
    if record.outgoing.used.foreign && !a.is_success() {
        places.clear();
    }
    places
}
