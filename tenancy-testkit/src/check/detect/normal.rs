//! What two answers have in common when they say the same: ids, times and order aside.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::Value;

use crate::check::describe::world::MARK;
use crate::check::program::harvest::is_id;

/// What is not compared, beside ids, times and UUIDs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    /// Canaries, and texts of nobody's.
    pub(crate) texts: bool,
}

/// Returns the path of the first place in which `a` and `b` differ, list places left out: `data.total`.
pub(crate) fn difference(a: &Value, b: &Value, mask: Mask) -> Option<String> {
    let mut found = Vec::new();
    compare(&normal("", a, mask), &normal("", b, mask), "", &mut found);
    found.into_iter().next()
}

/// Returns the paths of all places in which `a` and `b` differ.
pub(crate) fn differences(a: &Value, b: &Value, mask: Mask) -> Vec<String> {
    let mut found = Vec::new();
    compare(&normal("", a, mask), &normal("", b, mask), "", &mut found);
    found
}

fn compare(a: &Value, b: &Value, path: &str, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let names = x.keys().chain(y.keys().filter(|name| !x.contains_key(*name)));
            for name in names {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(
                    x.get(name).unwrap_or(&Value::Null),
                    y.get(name).unwrap_or(&Value::Null),
                    &inner,
                    found,
                );
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).for_each(|(x, y)| compare(x, y, &format!("{path}[]"), found));
        }
        _ if a == b => {}
        _ => found.push(if path.is_empty() { "the top".into() } else { path.to_owned() }),
    }
}

/// The value with its ids masked and its lists in one order: a list without an order says the same in any (B08).
fn normal(name: &str, value: &Value, mask: Mask) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(name, inner)| (name.clone(), normal(name, inner, mask))).collect(),
        ),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| normal(name, item, mask)).collect();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        Value::Number(_) | Value::String(_) if is_id(name) => Value::String("<id>".into()),
        Value::String(text) => Value::String(masked(text, mask)),
        other => other.clone(),
    }
}

/// The text without what differs from run to run.
fn masked(text: &str, mask: Mask) -> String {
    if is_time(text) {
        return "<time>".into();
    }
    let mut out = String::with_capacity(text.len());
    for (i, word) in split(text).into_iter().enumerate() {
        match word {
            word if i % 2 == 1 => out.push_str(word),
            word if is_uuid(word) => out.push_str("<uuid>"),
            word if mask.texts && (word.starts_with(MARK) || word.starts_with("nobody")) => {
                out.push_str("<text>");
            }
            word if (mask.texts || word.len() > 1)
                && !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                out.push_str("<number>");
            }
            word => out.push_str(word),
        }
    }
    out
}

/// Words at even places, what stands between them at odd ones.
fn split(text: &str) -> Vec<&str> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, true);
    for (at, letter) in text.char_indices() {
        if is_word(letter) != inside {
            parts.push(&text[start..at]);
            (start, inside) = (at, !inside);
        }
    }
    parts.push(&text[start..]);
    parts
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// RFC 3339, or close to it.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
    bytes.len() >= 19
        && digits(0..4)
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && matches!(bytes[10], b'T' | b' ')
        && digits(11..13)
        && bytes[13] == b':'
}

/// A body that is no JSON, line by line in one order.
pub(crate) fn normal_text(body: &[u8], mask: Mask) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    // A first number of a line is an id more often than not: exports are made of rows.
    let mut lines: Vec<String> = text.lines().map(|line| masked_digits(&masked(line, mask))).collect();
    lines.sort();
    lines
}

fn masked_digits(line: &str) -> String {
    let end = line.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(line.len());
    if end == 0 { line.to_owned() } else { format!("<id>{}", &line[end..]) }
}

/// Headers that say something about the answer rather than about the moment.
pub(crate) fn normal_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    const MOMENTARY: [&str; 13] = [
        "date",
        "content-length",
        "etag",
        "set-cookie",
        "last-modified",
        "age",
        "expires",
        "server-timing",
        "retry-after",
        "transfer-encoding",
        "content-encoding",
        "connection",
        // RFC 9211, and the header that came before it: whether something was there already.
        "cache-status",
    ];
    let kept = headers.iter().filter(|(name, _)| {
        let name = name.as_str();
        !MOMENTARY.contains(&name)
            && !name.contains("ratelimit")
            && !name.starts_with("x-cache")
            && !name.ends_with("-id")
            && !name.contains("trace")
    });
    let text = |value: &http::HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        masked(&text, Mask { texts: false })
            .chars()
            .filter(|letter| !letter.is_ascii_digit())
            .collect::<String>()
    };
    kept.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALL: Mask = Mask { texts: false };

    /// B04, B05, B08: what is benign compares as equal.
    #[test]
    fn ids_times_and_order_do_not_differ_and_counts_and_texts_do() {
        let a = json!({ "data": [{ "id": 1, "name": "a" }, { "id": 2, "name": "b" }], "total": 2,
            "at": "2026-01-01T10:00:00Z", "ref": "order 0190a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b" });
        let b = json!({ "data": [{ "id": 9, "name": "b" }, { "id": 7, "name": "a" }], "total": 2,
            "at": "2026-01-01T10:00:01.5Z", "ref": "order 0190a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c" });
        assert_eq!(difference(&a, &b, ALL), None);
        let mut c = b.clone();
        c["total"] = json!(3);
        assert_eq!(difference(&a, &c, ALL).as_deref(), Some("total"));
        let mut d = b.clone();
        d["data"][0]["name"] = json!("c");
        assert_eq!(difference(&a, &d, ALL).as_deref(), Some("data[].name"));
        let mut e = b;
        e["data"] = json!([]);
        assert_eq!(difference(&a, &e, ALL).as_deref(), Some("data"));
    }

    /// Whether a cache had it depends on who came first, and on clients that went away.
    #[test]
    fn headers_about_the_moment_do_not_differ_and_others_do() {
        let headers = |cache: &str, region: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-cache", cache.parse().expect("a value"));
            headers.insert("cache-status", format!("app; {cache}").parse().expect("a value"));
            headers.insert("x-region", region.parse().expect("a value"));
            normal_headers(&headers)
        };
        assert_eq!(headers("hit", "eu"), headers("miss", "eu"));
        assert_ne!(headers("hit", "eu"), headers("hit", "us"));
    }
}
