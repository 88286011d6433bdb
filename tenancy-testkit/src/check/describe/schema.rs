//! From a JSON schema to a proptest strategy for the values that it allows.
//!
//! Ids and free texts are not made here: a program feeds those with what the service has answered, and with canaries.

use proptest::prelude::*;
use proptest::string::string_regex;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use crate::oracle::rng::Rng;

/// The types that a schema allows, the first that is not `null` being the one that is used.
pub(crate) fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or(""),
        _ if schema["properties"].is_object() => "object",
        _ if schema["items"].is_object() => "array",
        _ => "",
    }
}

/// The schema itself, or the first usable one of its alternatives.
pub(crate) fn narrow(schema: &Value) -> std::borrow::Cow<'_, Value> {
    use std::borrow::Cow;
    for name in ["oneOf", "anyOf"] {
        let list = schema[name].as_array().into_iter().flatten();
        if let Some(first) = list.into_iter().find(|one| kind(one) != "null" && one["type"] != "null") {
            return narrow(first);
        }
    }
    match schema["allOf"].as_array() {
        Some(parts) => Cow::Owned(merged(schema, parts)),
        None => Cow::Borrowed(schema),
    }
}

/// One object of all parts of `allOf`.
fn merged(schema: &Value, parts: &[Value]) -> Value {
    let mut properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut whole = Map::new();
    for part in parts {
        let part = narrow(part);
        whole.extend(part.as_object().cloned().unwrap_or_default());
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    whole.insert("properties".into(), Value::Object(properties));
    whole.insert("required".into(), Value::Array(required));
    Value::Object(whole)
}

/// Whether any text will do, so that a canary may stand there.
pub(crate) fn is_free_text(schema: &Value) -> bool {
    kind(schema) == "string"
        && ["enum", "const", "pattern"].iter().all(|limit| schema[limit].is_null())
        && matches!(schema["format"].as_str(), None | Some("email" | "password" | "textarea"))
        && schema["maxLength"].as_u64().is_none_or(|most| most >= 24)
}

/// One value of `schema`, the same for the same state of `rng`.
pub(crate) fn sample(schema: &Value, rng: &mut Rng) -> Value {
    let mut seed = [0; 32];
    for chunk in seed.chunks_mut(8) {
        chunk.copy_from_slice(&rng.next().to_le_bytes());
    }
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let tree = strategy(&narrow(schema)).new_tree(&mut runner);
    tree.map_or(Value::Null, |tree| proptest::strategy::ValueTree::current(&tree))
}

fn strategy(schema: &Value) -> BoxedStrategy<Value> {
    if !schema["const"].is_null() {
        return Just(schema["const"].clone()).boxed();
    }
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.is_empty()) {
        return prop::sample::select(values.clone()).boxed();
    }
    match kind(schema) {
        "integer" => {
            let (low, high) = bounds(schema, 1_000.0);
            (low.ceil() as i64..=high.floor() as i64).prop_map(|number| json!(number)).boxed()
        }
        "number" => {
            let (low, high) = bounds(schema, 1_000.0);
            // Two decimals: money and percentages are often checked for it.
            ((low * 100.0) as i64..=(high * 100.0) as i64).prop_map(|n| json!(n as f64 / 100.0)).boxed()
        }
        "boolean" => any::<bool>().prop_map(Value::Bool).boxed(),
        "string" => text(schema),
        _ => Just(Value::Null).boxed(),
    }
}

fn bounds(schema: &Value, width: f64) -> (f64, f64) {
    let number = |name: &str| schema[name].as_f64();
    // 3.1 has numbers here, 3.0 a flag beside `minimum`.
    let above = number("exclusiveMinimum").map(|low| low + 1.0);
    let below = number("exclusiveMaximum").map(|high| high - 1.0);
    let low = number("minimum").or(above);
    let high = number("maximum").or(below);
    match (low, high) {
        (Some(low), Some(high)) => (low, high.max(low)),
        (Some(low), None) => (low, low + width),
        (None, Some(high)) => ((high - width).max(1.0).min(high), high),
        (None, None) => (1.0, width),
    }
}

fn text(schema: &Value) -> BoxedStrategy<Value> {
    let shape = match (schema["pattern"].as_str(), schema["format"].as_str()) {
        (Some(pattern), _) => pattern.trim_start_matches('^').trim_end_matches('$').to_owned(),
        (_, Some("uuid")) => "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}".to_owned(),
        (_, Some("date")) => "20(2[0-9])-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])".to_owned(),
        (_, Some("date-time")) => {
            "202[0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9])T[01][0-9]:[0-5][0-9]:[0-5][0-9]Z".to_owned()
        }
        (_, Some("uri" | "url")) => "https://[a-z]{3,8}[.]test/[a-z]{1,8}".to_owned(),
        _ => {
            let least = schema["minLength"].as_u64().unwrap_or(1).min(200);
            let most = schema["maxLength"].as_u64().unwrap_or(12).clamp(least, least + 20);
            format!("[a-z]{{{least},{most}}}")
        }
    };
    match string_regex(&shape) {
        Ok(strategy) => strategy.prop_map(Value::String).boxed(),
        Err(_) => Just(json!("text")).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_schema_and_of_their_seed() {
        let schemas = [
            json!({ "type": "integer", "minimum": 3, "maximum": 5 }),
            json!({ "type": ["null", "string"], "format": "uuid" }),
            json!({ "enum": ["new", "paid"] }),
            json!({ "type": "string", "pattern": "^[A-Z]{2}$" }),
            json!({ "oneOf": [{ "type": "null" }, { "type": "boolean" }] }),
        ];
        for (i, schema) in schemas.iter().enumerate() {
            for seed in 0..20 {
                let value = sample(schema, &mut Rng::new(seed));
                assert_eq!(value, sample(schema, &mut Rng::new(seed)));
                let fits = match i {
                    0 => (3..=5).contains(&value.as_i64().unwrap_or(0)),
                    1 => value.as_str().is_some_and(|text| text.len() == 36),
                    2 => value == "new" || value == "paid",
                    3 => value.as_str().is_some_and(|text| text.len() == 2),
                    _ => value.is_boolean(),
                };
                assert!(fits, "{schema} gave {value}");
            }
        }
    }

    #[test]
    fn a_text_is_free_unless_its_schema_says_what_it_looks_like() {
        assert!(is_free_text(&json!({ "type": "string" })));
        assert!(is_free_text(&json!({ "type": "string", "format": "email" })));
        for limited in
            [json!({ "type": "string", "maxLength": 3 }), json!({ "enum": ["a"], "type": "string" })]
        {
            assert!(!is_free_text(&limited), "{limited}");
        }
    }
}
