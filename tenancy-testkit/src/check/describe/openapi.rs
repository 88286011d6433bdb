//! Reads operations from an OpenAPI document, versions 3.0 and 3.1.
//!
//! The document is walked as JSON rather than through a model of one version: generators differ in details (3.0's
//! `nullable`, 3.1's lists of types) that do not matter here, and a document that a strict model refuses is still a
//! description of a service.

use http::Method;
use serde_json::Value;

use super::operation::{Access, Operation, Param, Place};
use crate::error::Error;

/// How often a schema may refer to itself before it is cut off.
const DEPTH: usize = 6;
const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "head"];

pub(crate) fn operations(document: &str) -> Result<Vec<Operation>, Error> {
    let root: Value = serde_json::from_str(document)
        .map_err(|error| Error::configuration("the OpenAPI document is not JSON").with_source(error))?;
    let version = root["openapi"].as_str().unwrap_or_default();
    if !version.starts_with("3.") {
        return Err(Error::configuration("the document is not OpenAPI 3"));
    }
    let paths = root["paths"].as_object();
    let paths = paths.ok_or_else(|| Error::configuration("the OpenAPI document has no paths"))?;
    let base = base_path(&root);
    let mut operations = Vec::new();
    for (path, item) in paths {
        let item = resolve(&root, item)?;
        for name in METHODS {
            if let Some(found) = item.get(name) {
                operations.push(operation(&root, item, name, format!("{base}{path}"), found)?);
            }
        }
    }
    Ok(operations)
}

/// The path of the first server, which stands before every path: `/api/v1`.
fn base_path(root: &Value) -> String {
    let url = root["servers"][0]["url"].as_str().unwrap_or_default();
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => url,
    };
    path.trim_end_matches('/').to_owned()
}

fn operation(
    root: &Value,
    item: &Value,
    method: &str,
    path: String,
    found: &Value,
) -> Result<Operation, Error> {
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).expect("a method of the list");
    let mut operation = Operation::new(method, path);
    for list in [&item["parameters"], &found["parameters"]] {
        for parameter in list.as_array().into_iter().flatten() {
            add_parameter(root, &mut operation, resolve(root, parameter)?)?;
        }
    }
    if !found["requestBody"].is_null() {
        let content = &resolve(root, &found["requestBody"])?["content"];
        let schema = content.as_object().and_then(|all| {
            let json = all.iter().find(|(kind, _)| kind.contains("json"));
            json.map(|(_, media)| &media["schema"])
        });
        operation.body = schema.map(|schema| inline(root, schema, DEPTH)).transpose()?;
    }
    // An empty list of requirements is how a document says that anybody may call.
    let security = if found["security"].is_null() { &root["security"] } else { &found["security"] };
    if found["security"].is_array() && security.as_array().is_some_and(Vec::is_empty) {
        operation.access = Access::Public;
    }
    Ok(operation)
}

fn add_parameter(root: &Value, operation: &mut Operation, parameter: &Value) -> Result<(), Error> {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let place = match parameter["in"].as_str() {
        Some("path") => Place::Path,
        Some("query") => Place::Query,
        Some("header") => Place::Header,
        _ => return Ok(()),
    };
    let mut schema = inline(root, &parameter["schema"], DEPTH)?;
    // An example may stand beside the schema instead of in it.
    if let (Value::Object(schema), false) = (&mut schema, parameter["example"].is_null()) {
        schema.insert("example".into(), parameter["example"].clone());
    }
    let required = parameter["required"].as_bool().unwrap_or(false) || place == Place::Path;
    operation.params.retain(|known| !(known.name == name && known.place == place));
    operation.params.push(Param { name, place, schema, required });
    Ok(())
}

/// What a reference stands for.
fn resolve<'a>(root: &'a Value, mut value: &'a Value) -> Result<&'a Value, Error> {
    for _ in 0..DEPTH {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
        let pointer = reference.strip_prefix('#');
        let target = pointer.and_then(|pointer| root.pointer(pointer));
        value = target.ok_or_else(|| {
            Error::configuration("the OpenAPI document refers to something that it does not hold")
        })?;
    }
    Err(Error::configuration("references in the OpenAPI document go in a circle"))
}

/// The schema without references; where it holds itself, a value of any type.
fn inline(root: &Value, schema: &Value, depth: usize) -> Result<Value, Error> {
    if depth == 0 {
        return Ok(Value::Bool(true));
    }
    match resolve(root, schema)? {
        Value::Object(fields) => {
            let depth = if schema.get("$ref").is_some() { depth - 1 } else { depth };
            let fields = fields.iter().map(|(name, value)| Ok((name.clone(), inline(root, value, depth)?)));
            Ok(Value::Object(fields.collect::<Result<_, Error>>()?))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| inline(root, item, depth));
            Ok(Value::Array(items.collect::<Result<_, Error>>()?))
        }
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r##"{
        "openapi": "3.1.0", "servers": [{ "url": "https://api.test/v1/" }],
        "paths": {
            "/orders/{order_id}": {
                "parameters": [{ "name": "order_id", "in": "path", "schema": { "type": "integer" } }],
                "get": { "responses": {} },
                "put": { "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } } }
            },
            "/health": { "get": { "security": [] } }
        },
        "components": { "schemas": { "Order": { "type": "object", "properties": {
            "note": { "type": ["string", "null"] }, "parent": { "$ref": "#/components/schemas/Order" } } } } }
    }"##;

    #[test]
    fn a_document_gives_its_operations_with_schemas_inlined() {
        let operations = operations(DOCUMENT).expect("it reads");
        let names: Vec<String> = operations.iter().map(Operation::name).collect();
        assert_eq!(names, ["GET /v1/health", "GET /v1/orders/{order_id}", "PUT /v1/orders/{order_id}"]);
        assert_eq!(operations[0].access, Access::Public);
        assert_eq!(operations[1].params.len(), 1);
        assert_eq!(operations[1].params[0].schema["type"], "integer");
        let body = operations[2].body.as_ref().expect("a body");
        assert_eq!(body["properties"]["parent"]["properties"]["note"]["type"][0], "string");
    }

    #[test]
    fn what_is_not_a_document_is_refused() {
        for wrong in ["", "{}", r#"{"openapi":"2.0"}"#, r#"{"openapi":"3.0.1"}"#] {
            assert!(operations(wrong).is_err(), "{wrong}");
        }
        let dangling = DOCUMENT.replace("\"Order\": {", "\"Other\": {");
        assert!(operations(&dangling).is_err());
    }
}
