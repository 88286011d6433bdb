//! [`Store`]: what a shared Redis would be to the service, in memory: texts under texts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tenancy_core::{NamespacedKey, TenantContext};

use crate::Variant;

/// Texts under texts, for all tenants.
#[derive(Debug, Default)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<String, String>,
    /// Counts what was dropped, so that a value that was loaded before is not stored after.
    drops: u64,
    asked_last: Option<String>,
}

/// A value that was not there: where it belongs, and what was known when it was asked for.
pub(crate) struct Miss {
    key: String,
    drops: u64,
}

impl Store {
    /// Returns the key of the product `sku`.
    pub(crate) fn product_key(variant: Variant, context: &TenantContext, sku: &str) -> String {
        match variant {
            Variant::M15 => format!("product:{sku}"),
            Variant::M16 => format!("product.{}.{sku}", context.id()),
            _ => NamespacedKey::new(context, ("product", sku)).as_str().to_owned(),
        }
    }

    /// Returns the value under `key`, or what [`Store::fill`] needs.
    pub(crate) fn get(&self, key: &str) -> Result<String, Miss> {
        let mut inner = self.lock();
        match inner.entries.get(key) {
            Some(value) => Ok(value.clone()),
            None => {
                inner.asked_last = Some(key.to_owned());
                Err(Miss { key: key.to_owned(), drops: inner.drops })
            }
        }
    }

    /// Stores `value` where it was missed, unless it is there by now or something was dropped since.
    pub(crate) fn fill(&self, variant: Variant, miss: Miss, value: String) {
        let mut inner = self.lock();
        let mut key = miss.key;
        if variant == Variant::M18 {
            key = inner.asked_last.clone().unwrap_or(key);
        }
        if inner.drops == miss.drops {
            inner.entries.entry(key).or_insert(value);
        }
    }

    /// Drops one value.
    pub(crate) fn remove(&self, key: &str) {
        let mut inner = self.lock();
        inner.entries.remove(key);
        inner.drops += 1;
    }

    /// Drops every value of a tenant.
    pub(crate) fn flush(&self, variant: Variant, context: &TenantContext) {
        let prefix = match variant {
            Variant::M17 => format!("tenant:{}", context.id()),
            Variant::M15 => "product:".to_owned(),
            Variant::M16 => format!("product.{}.", context.id()),
            _ => NamespacedKey::new(context, "product").as_str().to_owned() + ":",
        };
        let mut inner = self.lock();
        inner.entries.retain(|key, _| !key.starts_with(&prefix));
        inner.drops += 1;
    }

    /// Returns all entries.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        self.lock().entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
