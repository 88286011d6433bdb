//! A hash index over tenants in shards: readers load one pointer, a writer copies one shard.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use arc_swap::ArcSwap;
// As `HashMap` of this crate's tables has it: a last multiplication would mix bits that the tables and shards do without.
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::recent::{self, IndexNumber};
use crate::octets::are_equal;
use crate::{Tenant, TenantId, TenantIdRef};

/// A write copies about a thousandth of the index.
const SHARDS: usize = 1024;

/// An entry of an index. It stores no name: that stands in the tenant's record. Texts are looked up as the bytes that
/// they are: a request's host need not be known to be text.
pub(super) trait Entry: Clone + Send + Sync {
    type Name: Name + ?Sized;

    /// Returns the entry by which `tenant` is found under `name`, which is one of its names.
    fn new(tenant: &Arc<Tenant>, name: &Self::Name) -> Self;
    fn tenant(&self) -> &Arc<Tenant>;

    /// Returns which of the tenant's names of this kind it is.
    fn at(&self) -> u32 {
        0
    }

    /// Returns that name.
    fn name_of(tenant: &Tenant, at: u32) -> &Self::Name;

    #[inline]
    fn name(&self) -> &Self::Name {
        Self::name_of(self.tenant(), self.at())
    }
}

/// What an index is looked up by.
pub(super) trait Name {
    fn hash_by(&self, hasher: &RandomState) -> u64;
    fn is(&self, other: &Self) -> bool;
}

impl Name for TenantId {
    #[inline]
    fn hash_by(&self, hasher: &RandomState) -> u64 {
        match self.as_ref() {
            TenantIdRef::Integer(value) => hasher.hash_one(value),
            _ => hasher.hash_one(self),
        }
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        self == other
    }
}

impl Name for [u8] {
    /// The bytes alone: nothing follows them that a length would keep apart, and the hasher heeds it by itself. Of 16 to
    /// 32 bytes, which are most hosts, both ends are all of them, and two numbers are hashed without a call; no more than
    /// 17 such names, one of each length, have the same ends.
    #[inline]
    fn hash_by(&self, hasher: &RandomState) -> u64 {
        let mut hasher = hasher.build_hasher();
        match (self.first_chunk(), self.last_chunk()) {
            (Some(first), Some(last)) if self.len() <= 32 => {
                hasher.write_u128(u128::from_le_bytes(*first));
                hasher.write_u128(u128::from_le_bytes(*last));
            }
            _ => hasher.write(self),
        }
        hasher.finish()
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        are_equal(self, other)
    }
}

#[derive(Clone)]
pub(super) struct ById(Arc<Tenant>);

impl Entry for ById {
    type Name = TenantId;

    fn new(tenant: &Arc<Tenant>, _: &TenantId) -> Self {
        Self(Arc::clone(tenant))
    }

    fn tenant(&self) -> &Arc<Tenant> {
        &self.0
    }

    #[inline]
    fn name_of(tenant: &Tenant, _: u32) -> &TenantId {
        tenant.id()
    }
}

#[derive(Clone)]
pub(super) struct BySlug(Arc<Tenant>);

impl Entry for BySlug {
    type Name = [u8];

    fn new(tenant: &Arc<Tenant>, _: &[u8]) -> Self {
        Self(Arc::clone(tenant))
    }

    fn tenant(&self) -> &Arc<Tenant> {
        &self.0
    }

    #[inline]
    fn name_of(tenant: &Tenant, _: u32) -> &[u8] {
        tenant.slug().as_str().as_bytes()
    }
}

#[derive(Clone)]
pub(super) struct ByDomain {
    tenant: Arc<Tenant>,
    at: u32,
}

impl Entry for ByDomain {
    type Name = [u8];

    fn new(tenant: &Arc<Tenant>, name: &[u8]) -> Self {
        let at = tenant.domains().iter().position(|known| known.domain.as_str().as_bytes() == name);
        let at =
            at.and_then(|at| u32::try_from(at).ok()).expect("a tenant is indexed by a domain that it has");
        Self { tenant: Arc::clone(tenant), at }
    }

    fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    fn at(&self) -> u32 {
        self.at
    }

    #[inline]
    fn name_of(tenant: &Tenant, at: u32) -> &[u8] {
        tenant.domains()[at as usize].domain.as_str().as_bytes()
    }
}

pub(super) struct Index<E: Entry> {
    number: IndexNumber,
    hasher: RandomState,
    shards: Box<[ArcSwap<HashTable<E>>; SHARDS]>,
}

impl<E: Entry> Default for Index<E> {
    fn default() -> Self {
        let empty = Arc::new(HashTable::new());
        let shards = Box::new([(); SHARDS].map(|()| ArcSwap::new(Arc::clone(&empty))));
        Self { number: IndexNumber::next(), hasher: RandomState::default(), shards }
    }
}

impl<E: Entry> Index<E> {
    pub(super) fn get(&self, name: &E::Name) -> Option<Arc<Tenant>> {
        let hash = name.hash_by(&self.hasher);
        let shard = self.shard(hash).load();
        shard.find(hash, |entry| entry.name().is(name)).map(|entry| Arc::clone(entry.tenant()))
    }

    /// Returns the tenant under `name` if it and the number of its name pass `test`. Finds whom this thread has asked for
    /// before without a look at the shards.
    #[inline(always)]
    pub(super) fn get_if(&self, name: &E::Name, test: impl Fn(&Tenant, u32) -> bool) -> Option<Arc<Tenant>> {
        let hash = name.hash_by(&self.hasher);
        let is = |tenant: &Tenant, at| E::name_of(tenant, at).is(name) && test(tenant, at);
        recent::find(self.number, hash, is).or_else(|| self.look_up(hash, name, &test))
    }

    #[inline(never)]
    fn look_up(
        &self,
        hash: u64,
        name: &E::Name,
        test: &impl Fn(&Tenant, u32) -> bool,
    ) -> Option<Arc<Tenant>> {
        let shard = self.shard(hash).load();
        let entry = shard.find(hash, |entry| entry.name().is(name))?;
        let (tenant, at) = (entry.tenant(), entry.at());
        test(tenant, at).then(|| {
            recent::note(self.number, hash, tenant, at);
            Arc::clone(tenant)
        })
    }

    /// Puts `tenant` under `name`. Writers take turns; the caller sees to that.
    pub(super) fn put(&self, name: &E::Name, tenant: &Arc<Tenant>) {
        let hash = name.hash_by(&self.hasher);
        self.change(hash, |table| {
            let new = E::new(tenant, name);
            match table.find_mut(hash, |entry| entry.name().is(name)) {
                Some(entry) => *entry = new,
                None => drop(table.insert_unique(hash, new, |entry| entry.name().hash_by(&self.hasher))),
            }
        });
    }

    /// Puts many tenants under names that are not in the index yet, and copies each shard once.
    pub(super) fn put_all<'a>(&self, named: impl Iterator<Item = (&'a E::Name, &'a Arc<Tenant>)>)
    where
        E: 'a,
    {
        let hashed = named.map(|(name, tenant)| (name.hash_by(&self.hasher), name, tenant));
        let mut hashed: Vec<_> = hashed.collect();
        hashed.sort_unstable_by_key(|(hash, ..)| shard_at(*hash));
        for same in hashed.chunk_by(|a, b| shard_at(a.0) == shard_at(b.0)) {
            self.change(same[0].0, |table| {
                table.reserve(same.len(), |entry| entry.name().hash_by(&self.hasher));
                for (hash, name, tenant) in same {
                    let new = E::new(tenant, name);
                    table.insert_unique(*hash, new, |entry| entry.name().hash_by(&self.hasher));
                }
            });
        }
    }

    pub(super) fn remove(&self, name: &E::Name) {
        let hash = name.hash_by(&self.hasher);
        self.change(hash, |table| {
            if let Ok(entry) = table.find_entry(hash, |entry| entry.name().is(name)) {
                entry.remove();
            }
        });
    }

    /// Returns every tenant in the index, each as it was at some moment during the call.
    pub(super) fn tenants(&self) -> Vec<Arc<Tenant>> {
        let shards = self.shards.iter().map(ArcSwap::load_full);
        shards
            .flat_map(|shard| shard.iter().map(|entry| Arc::clone(entry.tenant())).collect::<Vec<_>>())
            .collect()
    }

    /// Replaces the shard of `hash` by a changed copy.
    fn change(&self, hash: u64, change: impl FnOnce(&mut HashTable<E>)) {
        let shard = self.shard(hash);
        let mut table = HashTable::clone(&shard.load());
        change(&mut table);
        shard.store(Arc::new(table));
    }

    #[inline]
    fn shard(&self, hash: u64) -> &ArcSwap<HashTable<E>> {
        &self.shards[shard_at(hash)]
    }
}

/// The table inside a shard uses the hash's lowest and highest bits: the shard goes by some in between.
#[inline]
fn shard_at(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of all lengths, of which many have the same beginning and the same end, and so perhaps the same hash.
    #[test]
    fn names_with_the_same_ends_are_told_apart() {
        let tenants: Vec<_> = (1..=63_usize)
            .map(|len| {
                let id = TenantId::integer(i64::try_from(len).unwrap()).unwrap();
                Tenant::builder(id, "a".repeat(len).parse().unwrap()).build().unwrap()
            })
            .collect();
        let index = Index::<BySlug>::default();
        let name = |tenant: &Arc<Tenant>| tenant.slug().as_str().as_bytes().to_vec();
        for (at, tenant) in tenants.iter().enumerate() {
            assert!(index.get(&name(tenant)).is_none(), "{at}");
            index.put(&name(tenant), tenant);
        }
        for tenant in &tenants {
            let found = index.get(&name(tenant)).expect("it was put there");
            assert!(Arc::ptr_eq(&found, tenant), "{found:?}");
            // By now the thread remembers those before it.
            let found = index.get_if(&name(tenant), |_, _| true).expect("it was put there");
            assert!(Arc::ptr_eq(&found, tenant), "{found:?}");
            let mut other = name(tenant);
            other[tenant.slug().as_str().len() / 2] = b'b';
            assert!(index.get(&other).is_none(), "{tenant:?}");
            assert!(index.get_if(&other, |_, _| true).is_none(), "{tenant:?}");
        }
    }

    /// A write copies a shard: none is much larger than the others, also where ids and names are counted up.
    #[test]
    fn names_are_spread_over_the_shards() {
        let hasher = RandomState::default();
        let ids = |at: usize| TenantId::integer(i64::try_from(at + 1).unwrap()).unwrap().hash_by(&hasher);
        let slugs = |at: usize| format!("t{at:06}").as_bytes().hash_by(&hasher);
        let hosts = |at: usize| format!("t{at:06}.shops.example").as_bytes().hash_by(&hasher);
        for hash in [&ids as &dyn Fn(usize) -> u64, &slugs, &hosts] {
            let mut sizes = vec![0; SHARDS];
            (0..100 * SHARDS).for_each(|at| sizes[shard_at(hash(at))] += 1);
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!((40..100).contains(least) && (100..200).contains(most), "{least} to {most}");
        }
    }
}
