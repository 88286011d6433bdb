//! Names as 64-bit numbers, for PostgreSQL's advisory locks.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::{GlobalKey, NamespacedKey};

/// A name of either kind: of a tenant or shared by all.
///
/// Implemented for [`NamespacedKey`] and [`GlobalKey`], and for nothing else: a text is no name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no name",
    note = "build a `NamespacedKey` from a tenant's context, or a `GlobalKey` for what all tenants share"
)]
pub trait Name: sealed::Sealed {
    /// Returns the name as text.
    fn as_str(&self) -> &str;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::NamespacedKey {}
    impl Sealed for super::GlobalKey {}
}

impl Name for NamespacedKey {
    fn as_str(&self) -> &str {
        self.as_str()
    }
}

impl Name for GlobalKey {
    fn as_str(&self) -> &str {
        self.as_str()
    }
}

/// Turns names into the ids of PostgreSQL's advisory locks: `pg_advisory_xact_lock(bigint)` and its kin.
///
/// The id is SipHash-2-4 of the name under a 128-bit key. It is the same on every machine and in every release, so that
/// nodes of different versions lock the same thing.
///
/// # How often two names meet
///
/// There are 2⁶⁴ ids. Among `n` different names that are locked at the same time, the odds that any two have the same id
/// are about `n² / 2⁶⁵`:
///
/// | names at once | odds |
/// |---|---|
/// | 1,000 | 1 in 37 million million |
/// | 1,000,000 | 1 in 37 million |
/// | 100,000,000 | 1 in 3,700 |
///
/// When two meet, their holders wait for each other, and a `try` says "taken" where nobody holds that name. It costs time
/// and never shows data: do not derive from a lock that is held whose it is.
///
/// Whoever can choose names and knows the key can make two meet on purpose. Where tenants choose parts of a name, give
/// [`LockIds::new`] a secret key; all nodes need the same one. Other users of the same database share the ids.
///
/// # Examples
///
/// ```
/// use tenancy_core::{LockIds, NamespacedKey, Tenant, TenantContext, TenantId};
///
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// let context = TenantContext::assertion(acme, "example")?;
/// let id: i64 = LockIds::default().id(&NamespacedKey::new(&context, "migration"));
/// // SELECT pg_advisory_xact_lock($1), with this id bound
/// # let _ = id;
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct LockIds([u8; 16]);

impl LockIds {
    /// Returns the ids under `key`.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// Returns the id of `name`'s lock.
    #[must_use]
    pub fn id(&self, name: &impl Name) -> i64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(name.as_str().as_bytes());
        hasher.finish().cast_signed()
    }
}

/// Ids under a key that everybody knows: for names that no tenant chooses.
impl Default for LockIds {
    fn default() -> Self {
        Self(*b"tenancy lock ids")
    }
}

/// Does not show the key.
impl fmt::Debug for LockIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockIds").finish_non_exhaustive()
    }
}
