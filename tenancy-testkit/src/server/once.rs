//! Something made once per key and process, whoever asks first.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

/// Values by key; each is made by the first caller who asks, while the others wait.
pub(crate) struct OncePerKey<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for OncePerKey<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> fmt::Debug for OncePerKey<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OncePerKey").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V: Clone> OncePerKey<K, V> {
    /// Returns the value of `key`; after an error, or when a caller gives up, the next one tries.
    pub(crate) async fn get_or_make<M, F, E>(&self, key: K, make: M) -> Result<V, E>
    where
        M: FnOnce() -> F,
        F: Future<Output = Result<V, E>>,
    {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_try_init(make).await.cloned()
    }
}
