//! Which name a value goes by: `customer_id` of a body, `/customers/{id}` and the `id` in an answer of `/customers` are
//! the same kind of thing.

use serde_json::Value;

use super::value::Seen;

/// How deep and how much of an answer is read.
const DEPTH: usize = 8;
const LONGEST: usize = 200;

/// The kind of a value that says where a page begins.
pub(crate) const PLACE: &str = "cursor";

/// The kind that a field or parameter is named for, or `None` if it is the bare `id` of whatever is around it.
pub(crate) fn named(name: &str) -> Option<String> {
    let mut snake = String::new();
    for (i, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && i > 0 && !snake.ends_with(['_', '-']) {
            snake.push('_');
        }
        snake.push(if letter == '-' { '_' } else { letter.to_ascii_lowercase() });
    }
    let base =
        ["_ids", "_id", "_uuid", "_key"].iter().find_map(|end| snake.strip_suffix(end)).unwrap_or(&snake);
    let base = base.strip_prefix("next_").or_else(|| base.strip_prefix("prev_")).unwrap_or(base);
    match base {
        "id" | "ids" | "uuid" => None,
        // Where a page begins goes by many names.
        "next" | "after" | "before" | "page_token" | "continuation" => Some(PLACE.into()),
        _ => Some(singular(base)),
    }
}

/// Whether a field or parameter holds an id rather than a text or an amount.
pub(crate) fn is_id(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let tail = |end: &str| lower == end || lower.ends_with(&format!("_{end}"));
    ["id", "ids", "uuid", "uuids"].iter().any(|end| tail(end))
        || name.ends_with("Id")
        || name.ends_with("Ids")
        || ["cursor", "next_cursor", "page_token", "next", "after", "before", "continuation"]
            .contains(&lower.as_str())
}

/// `orders` → `order`, `categories` → `category`.
pub(crate) fn singular(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    match name {
        _ if name.ends_with("ies") && name.len() > 4 => format!("{}y", &name[..name.len() - 3]),
        _ if ["sses", "xes", "ches", "shes"].iter().any(|end| name.ends_with(end)) => {
            name[..name.len() - 2].to_owned()
        }
        _ if name.ends_with('s') && !name.ends_with("ss") && name.len() > 2 && !name.ends_with("us") => {
            name[..name.len() - 1].to_owned()
        }
        _ => name,
    }
}

/// Keeps what an answer holds, under the names that later requests ask by.
pub(crate) fn harvest(answer: &Value, collection: &str, seen: &mut Seen) {
    walk(answer, &singular(collection), seen, DEPTH);
}

fn walk(value: &Value, around: &str, seen: &mut Seen, depth: usize) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let kind = named(name);
                match value {
                    Value::Object(_) => walk(value, &inner(kind.as_deref(), around), seen, depth - 1),
                    Value::Array(items) => {
                        for item in items {
                            let inner = inner(kind.as_deref(), around);
                            match item {
                                Value::Object(_) | Value::Array(_) => walk(item, &inner, seen, depth - 1),
                                _ => keep(&inner, item, seen),
                            }
                        }
                    }
                    // `orders: 12` says how many there are.
                    _ if value.is_number() && !is_id(name) && singular(name) != name.to_ascii_lowercase() => {
                    }
                    _ => keep(kind.as_deref().unwrap_or(around), value, seen),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, around, seen, depth - 1)),
        _ => keep(around, value, seen),
    }
}

/// Envelopes hold things of the collection, other objects are things of their own.
fn inner(kind: Option<&str>, around: &str) -> String {
    match kind {
        None
        | Some("data" | "item" | "result" | "row" | "content" | "record" | "value" | "entry" | "page") => {
            around.to_owned()
        }
        Some(kind) => kind.to_owned(),
    }
}

fn keep(kind: &str, value: &Value, seen: &mut Seen) {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= LONGEST => seen.add(kind, value),
        Value::Number(number) if number.is_u64() => seen.add(kind, value),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_thing_goes_by_one_name() {
        for name in ["customer_id", "customerId", "customers", "customer", "customer_ids", "Customer-Id"] {
            assert_eq!(named(name).as_deref(), Some("customer"), "{name}");
        }
        assert_eq!(named("id"), None);
        assert_eq!(named("next_cursor").as_deref(), Some("cursor"));
        assert_eq!(singular("categories"), "category");
        assert!(is_id("orderId") && is_id("ids") && is_id("cursor") && !is_id("paid") && !is_id("name"));
    }

    #[test]
    fn an_answer_is_read_through_its_envelope() {
        let mut seen = Seen::default();
        let answer = json!({ "data": [{ "id": 7, "customer_id": 3, "customer": { "id": 3, "email": "a@b.test" } }],
            "next_cursor": "abc", "orders": 12 });
        harvest(&answer, "orders", &mut seen);
        assert_eq!(seen.of("order"), [json!(7)]);
        assert_eq!(seen.of("customer"), [json!(3)]);
        assert_eq!(seen.of("email"), [json!("a@b.test")]);
        assert_eq!(seen.of("cursor"), [json!("abc")]);
    }
}
