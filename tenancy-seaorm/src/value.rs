//! The tenant as a bound value.

use sea_orm::Value;
use tenancy_core::{TenantContext, TenantIdRef};

/// A tenant's id in its one canonical form as a bound value.
///
/// Made from a [`TenantContext`] alone. Values that a statement binds for its tenant column are compared with it by
/// meaning: `Int(1)` and `BigInt(1)` are the same tenant.
#[derive(Clone, Debug)]
pub struct TenantValue(Value);

impl TenantValue {
    /// Returns the value that denotes `context`'s tenant.
    pub fn of(context: &TenantContext) -> Self {
        Self(match context.id().as_ref() {
            TenantIdRef::Integer(id) => Value::BigInt(Some(id)),
            TenantIdRef::Uuid(id) => Value::Uuid(Some(id)),
            TenantIdRef::Text(id) => Value::String(Some(id.to_owned())),
        })
    }

    /// Returns the value as sea-orm binds it.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The same tenant where the tenant column holds the canonical text of every id.
    ///
    /// Ids of two kinds never have one text, so that no tenant becomes another.
    pub(crate) fn as_text(&self) -> Self {
        match &self.0 {
            Value::BigInt(Some(id)) => Self(Value::String(Some(id.to_string()))),
            Value::Uuid(Some(id)) => Self(Value::String(Some(id.to_string()))),
            _ => self.clone(),
        }
    }

    pub(crate) fn is_null(&self, value: &Value) -> bool {
        *value == value.as_null()
    }

    /// True if the id is a text with capital letters, which some collations take for small ones.
    pub(crate) fn has_capitals(&self) -> bool {
        matches!(&self.0, Value::String(Some(id)) if id.bytes().any(|byte| byte.is_ascii_uppercase()))
    }

    /// True if the id is a text that a database may take for a number.
    pub(crate) fn begins_like_number(&self) -> bool {
        let numeric = |id: &String| !id.starts_with(|first: char| first.is_ascii_alphabetic());
        matches!(&self.0, Value::String(Some(id)) if numeric(id))
    }

    /// True if `value` denotes this tenant; false for NULL and for every type that cannot.
    pub(crate) fn matches(&self, value: &Value) -> bool {
        match &self.0 {
            Value::BigInt(Some(id)) => integer(value) == Some(i128::from(*id)),
            Value::Uuid(Some(id)) => match value {
                Value::Uuid(Some(other)) => id == other,
                _ => false,
            },
            Value::String(Some(id)) => matches!(value, Value::String(Some(other)) if id == other),
            _ => false,
        }
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::TinyInt(v) => v.map(i128::from),
        Value::SmallInt(v) => v.map(i128::from),
        Value::Int(v) => v.map(i128::from),
        Value::BigInt(v) => v.map(i128::from),
        Value::TinyUnsigned(v) => v.map(i128::from),
        Value::SmallUnsigned(v) => v.map(i128::from),
        Value::Unsigned(v) => v.map(i128::from),
        Value::BigUnsigned(v) => v.map(i128::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tenancy_core::{Tenant, TenantId};

    use super::*;

    /// What row-level security is told is the text of the id: the two walls must mean the same rows.
    #[test]
    fn the_text_of_a_value_is_the_text_of_the_id() {
        for id in ["7", "9223372036854775807", "67e55044-10b1-426f-9247-bb680e5fe0c8", "Acme.1"] {
            let id: TenantId = id.parse().expect("an id");
            let tenant =
                Tenant::builder(id.clone(), "acme".parse().expect("a slug")).build().expect("a tenant");
            let context = TenantContext::assertion(tenant, "a test").expect("it is active");
            let text = TenantValue::of(&context).as_text();
            assert_eq!(*text.value(), Value::String(Some(id.to_string())));
            assert!(text.matches(&Value::String(Some(id.to_string()))));
            assert!(!text.matches(&Value::String(Some(format!("{id} ")))));
            assert!(!text.matches(&Value::BigInt(Some(7))));
        }
    }
}
