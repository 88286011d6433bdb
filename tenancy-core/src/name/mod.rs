//! Names of things outside the database that belong to one tenant: cache entries, locks, buckets, blobs, links.
//!
//! Two tenants never share a name, whatever the parts hold, and one tenant's names can be dropped without touching
//! another's.

#[cfg(feature = "object-store")]
mod blob;
mod cache;
mod encode;
mod generation;
mod lock;
#[cfg(test)]
mod modelled;
#[cfg(feature = "moka")]
mod moka;
mod part;
#[cfg(feature = "redis")]
mod redis;
mod segment;
mod sync;
mod url;

use std::fmt;
use std::hash::{Hash, Hasher};

#[cfg(feature = "object-store")]
pub use blob::TenantObjectStore;
pub use cache::{TenantCache, TenantCacheBuilder, TenantCacheStats};
pub use generation::{Generation, Generations, LocalGenerations};
pub use lock::{LockIds, Name};
pub use part::{KeyPart, KeyParts, PartWriter, PartsWriter};
pub use url::{TenantUrl, TenantUrls};

use self::encode::{Head, Text, Writer};
#[cfg(feature = "moka")]
pub use self::moka::MokaExt;
use self::part::with_id_bytes;
#[cfg(feature = "redis")]
pub use self::redis::{Found, Purge, PurgeStep, RedisGenerations, RedisNodes, TenantRedis, Vacant};
#[cfg(feature = "redis")]
use crate::Tenant;
use crate::{TenantContext, TenantId};

/// A name that belongs to one tenant: `tenant:{id}:{part}:{part}…`.
///
/// It is built from a [`TenantContext`] and parts, and from nothing else: there is no way from a text or a bare id to
/// a key (CACHE-01, CACHE-05). Data that all tenants share has a type of its own, [`GlobalKey`].
///
/// # The encoding
///
/// Different tenants or different parts give different texts, whatever bytes the parts hold (CACHE-02). The letters and
/// digits of ASCII and `-._~` stand for themselves; every other byte is written `%XX`, so that a key holds no glob, brace,
/// space or control character. A key has at most [`NamespacedKey::MAX_LEN`] bytes: in a longer one the parts are replaced
/// by `#` and their SHA-256, and so is a tenant id of more than 96 bytes (CACHE-10). The encoding does not change
/// between releases.
///
/// Keys of up to 92 bytes live on the stack; longer ones are one shared allocation.
///
/// # Examples
///
/// ```
/// use tenancy_core::{NamespacedKey, Tenant, TenantContext, TenantId};
///
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// let context = TenantContext::assertion(acme, "example")?;
/// assert_eq!(NamespacedKey::new(&context, ("orders", 7)).as_str(), "tenant:1:orders:7");
/// assert_eq!(NamespacedKey::new(&context, ("a:b", "*")).as_str(), "tenant:1:a%3Ab:%2A");
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone)]
pub struct NamespacedKey {
    text: Text,
    id: (u8, u8),
}

impl NamespacedKey {
    /// The longest key, in bytes.
    pub const MAX_LEN: usize = encode::MAX_LEN;

    /// Returns the key of `context`'s tenant that `parts` name.
    #[must_use]
    #[inline]
    pub fn new(context: &TenantContext, parts: impl KeyParts) -> Self {
        Namespace::new().key(context, parts)
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// Returns whether the key is one of `context`'s tenant.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tenancy_core::{NamespacedKey, Tenant, TenantContext, TenantId};
    /// # let tenant = |id| Tenant::builder(TenantId::integer(id)?, format!("t{id}").parse()?).build();
    /// let one = TenantContext::assertion(tenant(1)?, "example")?;
    /// let ten = TenantContext::assertion(tenant(10)?, "example")?;
    /// let key = NamespacedKey::new(&ten, "orders");
    /// assert!(key.belongs_to(&ten) && !key.belongs_to(&one));
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    #[must_use]
    pub fn belongs_to(&self, context: &TenantContext) -> bool {
        self.is_of(context.id())
    }

    fn is_of(&self, id: &TenantId) -> bool {
        let mut writer = Writer::new();
        let (start, end) = with_id_bytes(id, |id| writer.tenant(Head { id, ..Head::default() }));
        self.id_text() == &writer.as_str()[start..end]
    }

    /// The tenant's id as it stands in the text. The encoding of ids is injective, so that equal texts are one tenant.
    fn id_text(&self) -> &str {
        &self.as_str()[usize::from(self.id.0)..usize::from(self.id.1)]
    }
}

/// The shape of a family of names: an area in front, and whether a tenant's keys share a Redis Cluster slot.
///
/// Whatever reads, writes and flushes the same keys shares one `Namespace`; it can be a constant.
///
/// | | key |
/// |---|---|
/// | `Namespace::new()` | `tenant:1:orders:7` |
/// | `.with_area("deployments")` | `deployments:tenant:1:page:3` |
/// | `.with_hash_tag()` | `tenant:{1}:orders:7` |
///
/// Names of different namespaces are different.
///
/// # Examples
///
/// ```
/// use tenancy_core::{Namespace, Tenant, TenantContext, TenantId};
///
/// const DEPLOYMENTS: Namespace = Namespace::new().with_area("deployments");
///
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// let context = TenantContext::assertion(acme, "example")?;
/// let key = DEPLOYMENTS.key(&context, ("page", 3, "status", "open"));
/// assert_eq!(key.as_str(), "deployments:tenant:1:page:3:status:open");
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Hash)]
pub struct Namespace {
    area: Option<&'static str>,
    hash_tag: bool,
}

impl Namespace {
    /// Returns the namespace without an area, whose keys spread over a cluster.
    #[must_use]
    pub const fn new() -> Self {
        Self { area: None, hash_tag: false }
    }

    /// Sets what stands in front of `tenant:`. It is escaped like a part; what passes 43 bytes then is hashed.
    #[must_use]
    pub const fn with_area(self, area: &'static str) -> Self {
        Self { area: Some(area), ..self }
    }

    /// Puts the tenant's id into braces, so that Redis Cluster keeps all keys of a tenant in one slot.
    ///
    /// Transactions and scripts over several keys of a tenant then work; in exchange a large tenant's load stays on one
    /// node.
    #[must_use]
    pub const fn with_hash_tag(self) -> Self {
        Self { hash_tag: true, ..self }
    }

    /// Returns the key of `context`'s tenant that `parts` name.
    #[must_use]
    #[inline]
    pub fn key(&self, context: &TenantContext, parts: impl KeyParts) -> NamespacedKey {
        with_id_bytes(context.id(), |id| self.raw_key(id, None, parts))
    }

    /// Returns the key of `context`'s tenant that `parts` name, in `generation`: `tenant:1@7:orders:7`.
    #[must_use]
    pub fn key_in(
        &self,
        context: &TenantContext,
        generation: Generation,
        parts: impl KeyParts,
    ) -> NamespacedKey {
        with_id_bytes(context.id(), |id| self.raw_key(id, Some(generation.get()), parts))
    }

    /// What all names of `tenant` in this namespace begin with; a `:` or a `@` follows.
    #[cfg(feature = "redis")]
    fn tenant_head(&self, tenant: &Tenant) -> String {
        with_id_bytes(tenant.id(), |id| self.raw_head(b"", id))
    }

    /// Where the tenant's shared generation is kept: no name of a tenant, of any area, has this text.
    #[cfg(feature = "redis")]
    fn generation_counter(&self, tenant: &Tenant) -> String {
        with_id_bytes(tenant.id(), |id| self.raw_head(b"generation:", id))
    }

    #[cfg(feature = "redis")]
    fn raw_head(&self, before: &[u8], id: &[u8]) -> String {
        let mut writer = Writer::new();
        writer.raw(before);
        writer.tenant(self.head(id, None));
        writer.as_str().to_owned()
    }

    #[inline]
    fn raw_key(&self, id: &[u8], generation: Option<u64>, parts: impl KeyParts) -> NamespacedKey {
        #[cfg(feature = "broken-on-purpose-for-tests-only")]
        let id = if crate::Guard::Key.is_off() { b"anybody" } else { id };
        let mut writer = Writer::new();
        let (start, end) = writer.tenant(self.head(id, generation));
        parts.write_parts(&mut PartsWriter::new(&mut writer));
        let at = |at: usize| u8::try_from(at).expect("a name has at most 250 bytes");
        NamespacedKey { text: writer.finish(), id: (at(start), at(end)) }
    }

    fn head<'a>(&self, id: &'a [u8], generation: Option<u64>) -> Head<'a> {
        Head { area: self.area.map(str::as_bytes), hash_tag: self.hash_tag, id, generation }
    }
}

/// A name that all tenants share on purpose: `global:{part}:{part}…`, such as a feature flag or a price list.
///
/// No tenant's key, in any [`Namespace`], has the same text (CACHE-06). What is stored under it is seen by everybody.
/// It is also where requests of unknown tenants are counted, in one bucket instead of one for each name that somebody
/// makes up (LIM-02).
///
/// # Examples
///
/// ```
/// use tenancy_core::GlobalKey;
///
/// const UNKNOWN_TENANTS: &str = "unknown-tenants";
///
/// assert_eq!(GlobalKey::new(("rate", UNKNOWN_TENANTS)).as_str(), "global:rate:unknown-tenants");
/// ```
#[derive(Clone)]
pub struct GlobalKey(Text);

impl GlobalKey {
    /// Returns the shared name that `parts` give.
    #[must_use]
    pub fn new(parts: impl KeyParts) -> Self {
        let mut writer = Writer::new();
        writer.root(b"global");
        parts.write_parts(&mut PartsWriter::new(&mut writer));
        Self(writer.finish())
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

macro_rules! text_traits {
    ($($type:ident),*) => {$(
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $type {}

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $type {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        // There is no `Borrow<str>`: a map of names is asked with a name, not with a text that somebody wrote.
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<[u8]> for $type {
            fn as_ref(&self) -> &[u8] {
                self.as_str().as_bytes()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($type)).field(&self.as_str()).finish()
            }
        }
    )*};
}

text_traits!(NamespacedKey, GlobalKey);

#[cfg(test)]
mod tests;
