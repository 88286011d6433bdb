//! [`Plan`]: what a statement's text becomes, and what to do with its values.

use sea_orm::Value;

use super::Param;
use super::edit::parameters;
use crate::error::{Error, ErrorKind};
use crate::value::TenantValue;

/// The outcome of rewriting one text. It holds no tenant: the same plan serves them all.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) sql: Box<str>,
    /// How many values the statement itself binds.
    pub(crate) params: usize,
    pub(crate) binding: Binding,
    pub(crate) checks: Box<[Check]>,
}

/// How the tenant's value joins the others.
#[derive(Debug)]
pub(crate) enum Binding {
    /// Not at all: no guard, or the statement's own value was checked.
    None,
    /// At the end.
    Append,
    /// At these places of the final list, ascending.
    At(Box<[usize]>),
}

/// What must hold of a value that the statement binds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// The tenant of an inserted row: NULL is filled in, another tenant is refused.
    Stamp(usize),
    /// The tenant in an assignment: only the same value may be set again.
    Same(usize),
    /// A LIKE pattern: with a dangling escape it would fail on the rows whose text it matches up to there.
    Pattern(usize),
    /// A pattern that SQLite would find too long on the first row that it is asked of.
    Long(usize),
}

impl Plan {
    /// Checks and completes the values of a statement.
    pub(crate) fn bind(&self, values: &mut Vec<Value>, tenant: &TenantValue) -> Result<(), Error> {
        if values.len() != self.params {
            return Err(parameters("the number of bound values", "bind one value for each placeholder"));
        }
        for check in &self.checks {
            check.apply(values, tenant)?;
        }
        match &self.binding {
            Binding::None => {}
            Binding::Append => values.push(tenant.value().clone()),
            Binding::At(places) => insert_at(values, places, tenant.value()),
        }
        Ok(())
    }

    /// Bytes that this plan keeps alive.
    pub(crate) fn weight(&self) -> usize {
        let places =
            if let Binding::At(places) = &self.binding { places.len() * size_of::<usize>() } else { 0 };
        size_of::<Self>() + self.sql.len() + places + self.checks.len() * size_of::<Check>()
    }

    /// What the scoped text binds, in order.
    pub(crate) fn describe(&self) -> Vec<Param> {
        let mut params: Vec<_> = (1..=self.params).map(Param::Own).collect();
        match &self.binding {
            Binding::None => {}
            Binding::Append => params.push(Param::Tenant),
            Binding::At(places) => places.iter().for_each(|at| params.insert(*at, Param::Tenant)),
        }
        params
    }
}

impl Check {
    fn apply(self, values: &mut [Value], tenant: &TenantValue) -> Result<(), Error> {
        match self {
            Self::Stamp(i) if tenant.is_null(&values[i]) => values[i] = tenant.value().clone(),
            Self::Stamp(i) if !tenant.matches(&values[i]) => {
                let hint = "leave the tenant column out, or unset: it is filled in";
                return Err(Error::new(ErrorKind::ForeignTenant, "a row of another tenant", hint));
            }
            Self::Same(i) if !tenant.matches(&values[i]) => {
                return Err(Error::new(
                    ErrorKind::TenantColumn,
                    "a change of the tenant column",
                    "rows do not change tenants",
                ));
            }
            Self::Pattern(i) if dangling(&values[i]) => {
                let hint = "end the pattern with an even number of backslashes";
                return Err(Error::new(
                    ErrorKind::LeakyPredicate,
                    "a LIKE pattern that ends with an escape",
                    hint,
                ));
            }
            Self::Long(i) if too_long(&values[i]) => {
                let hint = "shorten the pattern to 50,000 bytes";
                return Err(Error::new(ErrorKind::LeakyPredicate, "a pattern that is too long", hint));
            }
            Self::Stamp(_) | Self::Same(_) | Self::Pattern(_) | Self::Long(_) => {}
        }
        Ok(())
    }
}

/// Places the tenant's value at ascending places, moving every other value once.
fn insert_at(values: &mut Vec<Value>, places: &[usize], tenant: &Value) {
    let (mut from, all) = (values.len(), values.len() + places.len());
    values.resize(all, tenant.clone());
    // Between `from` and `to` stands the tenant, as often as it is still to be placed.
    let mut to = all;
    for &place in places.iter().rev() {
        while to > place + 1 && from > 0 {
            (from, to) = (from - 1, to - 1);
            values.swap(from, to);
        }
        to -= 1;
    }
}

/// The longest pattern that SQLite takes (`SQLITE_MAX_LIKE_PATTERN_LENGTH`), in bytes.
pub(super) const LONGEST_PATTERN: usize = 50_000;

fn too_long(value: &Value) -> bool {
    match value {
        Value::String(Some(text)) => text.len() > LONGEST_PATTERN,
        Value::Bytes(Some(bytes)) => bytes.len() > LONGEST_PATTERN,
        Value::Json(_) => true,
        _ => false,
    }
}

pub(super) fn dangling_text(text: &str) -> bool {
    text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

fn dangling(value: &Value) -> bool {
    match value {
        Value::String(Some(text)) => dangling_text(text),
        Value::Char(Some(c)) => *c == '\\',
        Value::Bytes(Some(bytes)) => bytes.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_keep_their_order_around_the_tenants(count in 0_usize..9, chosen in prop::collection::btree_set(0_usize..12, 1..5)) {
            let all = count + chosen.len();
            let places: Vec<usize> = chosen.into_iter().filter(|place| *place < all).collect();
            let own: Vec<Value> = (0..all - places.len()).map(|n| Value::Int(Some(n as i32))).collect();
            let (tenant, mut values) = (Value::BigInt(Some(7)), own.clone());
            insert_at(&mut values, &places, &tenant);
            let mut own = own.into_iter();
            let expected: Vec<Value> = (0..all)
                .map(|at| if places.contains(&at) { tenant.clone() } else { own.next().expect("one is left") })
                .collect();
            prop_assert_eq!(values, expected);
        }
    }
}
