//! [`Operation`]: one thing that the service can be asked for.

use http::Method;
use serde_json::{Value, json};

/// Who may call an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Access {
    /// A tenant, for its own data. The default.
    Tenant,
    /// Anybody: health, the list of plans. It is not probed for a missing tenant; a canary in it is still a leak.
    Public,
    /// An administrator of the service: a tenant's credential, or none, must be refused.
    Admin,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// A parameter of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) schema: Value,
    pub(crate) required: bool,
}

/// One thing that the service can be asked for: a method, a path, and what it takes.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use tenancy_testkit::check::Operation;
///
/// let operations = [
///     Operation::get("/orders").with_query("limit", json!({ "type": "integer", "minimum": 1, "maximum": 50 })),
///     Operation::get("/orders/{id}"),
///     // An example says the types; `customer_id` is fed with the ids that `/customers` answered.
///     Operation::post("/orders").with_body_like(json!({ "customer_id": 1, "note": "as usual" })),
/// ];
/// assert_eq!(operations[1].name(), "GET /orders/{id}");
/// ```
#[derive(Clone, Debug)]
pub struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) params: Vec<Param>,
    pub(crate) body: Option<Value>,
    pub(crate) access: Access,
    pub(crate) never_exercised: bool,
}

impl Operation {
    /// Returns an operation; what stands in braces in `path` is a parameter, an id unless told otherwise.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let param = |name: &str| Param {
            name: name.trim_start_matches('*').to_owned(),
            place: Place::Path,
            schema: Value::Bool(true),
            required: true,
        };
        let params = names.map(|(name, _)| param(name)).collect();
        Self { method, path, params, body: None, access: Access::Tenant, never_exercised: false }
    }

    /// Returns a `GET` of `path`.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Returns a `POST` to `path`.
    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    /// Returns a `PUT` of `path`.
    #[must_use]
    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Returns a `PATCH` of `path`.
    #[must_use]
    pub fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Returns a `DELETE` of `path`.
    #[must_use]
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds an optional parameter after the question mark, with its JSON schema.
    #[must_use]
    pub fn with_query(mut self, name: impl Into<String>, schema: Value) -> Self {
        self.params.push(Param { name: name.into(), place: Place::Query, schema, required: false });
        self
    }

    /// Gives the JSON schema of the request's body.
    #[must_use]
    pub fn with_body_schema(mut self, schema: Value) -> Self {
        self.body = Some(schema);
        self
    }

    /// Gives an example of the request's body, from which its types are read: numbers, texts and lists stay what they
    /// are, and fields that are named like ids are fed with ids.
    #[must_use]
    pub fn with_body_like(self, example: Value) -> Self {
        self.with_body_schema(schema_of(&example))
    }

    /// Says who may call the operation.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Says that the operation cannot succeed in this set-up (it sends mail, it calls a bank), so that a run which never
    /// saw it succeed does not fail for it. It is called all the same.
    #[must_use]
    pub fn with_no_success_expected(mut self) -> Self {
        self.never_exercised = true;
        self
    }

    /// Returns the method and the path, by which reports call the operation.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether the operation only reads.
    pub(crate) fn reads(&self) -> bool {
        self.method.is_safe()
    }

    /// The parts of the path by which its answers may be called: `orders` and `search` of `/orders/search`, `orders` alone
    /// of `/users/{id}/orders`.
    pub(crate) fn collections(&self) -> Vec<&str> {
        let parts = self.path.split('/').filter(|part| !part.is_empty()).rev();
        let literal = |part: &&str| !part.starts_with('{');
        parts.skip_while(|part| !literal(part)).take_while(literal).collect()
    }
}

fn schema_of(example: &Value) -> Value {
    match example {
        Value::Object(fields) => {
            let properties = fields.iter().map(|(name, value)| (name.clone(), schema_of(value)));
            let properties: serde_json::Map<_, _> = properties.collect();
            let required: Vec<&String> = fields.keys().collect();
            json!({ "type": "object", "properties": properties, "required": required })
        }
        Value::Array(items) => {
            json!({ "type": "array", "items": items.first().map_or(Value::Bool(true), schema_of) })
        }
        Value::String(_) => json!({ "type": "string" }),
        // Small numbers are what a service most likely takes: an amount, a count, a page.
        Value::Number(number) if number.is_f64() => {
            json!({ "type": "number", "minimum": 1, "maximum": 1000 })
        }
        Value::Number(_) => json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Null => Value::Bool(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_every_part_of_the_path_that_may_name_it() {
        for (path, collections) in [
            ("/orders", &["orders"][..]),
            ("/orders/{id}", &["orders"]),
            ("/customers/by-email", &["by-email", "customers"]),
            ("/users/{id}/orders", &["orders"]),
            ("/orders/by-tag/{tag}", &["by-tag", "orders"]),
            ("/{id}", &[]),
        ] {
            assert_eq!(Operation::get(path).collections(), collections, "{path}");
        }
    }
}
