//! [`Variant`]: the correct service, its 40 leaky variants and its 10 benign ones.

use crate::options::Isolation;

macro_rules! variants {
    ($($name:ident $what:literal,)*) => {
        /// One build of the service: the correct one, or one that differs from it in one place.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Variant {
            $(#[doc = $what] $name,)*
        }

        impl Variant {
            /// Every variant, the correct one first.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the variant's name, such as `M07`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Returns what differs, in a few words.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

variants! {
    Correct "Nothing: the service as it should be.",
    M01 "Customers of a page of orders are loaded by id without the tenant's filter.",
    M02 "The tenant's filter of an outer join's nullable side stands in WHERE.",
    M03 "An order is looked up by id on the unscoped connection.",
    M04 "Orders change status by id on the unscoped connection.",
    M05 "Orders are deleted by id on the unscoped connection.",
    M06 "The tenant column of a new customer is taken from the request's body.",
    M07 "The upsert's conflict target is `(email)` without the tenant, on a key that all tenants share.",
    M08 "A page's total is counted without the tenant's filter.",
    M09 "The report sums over a view without the tenant's filter.",
    M10 "The sub-query of `IN` reads every tenant's tags.",
    M11 "The export's SQL text has no tenant.",
    M12 "The search appends the tenant as `a OR b AND tenant`.",
    M13 "The database's error text is the answer, on a key that all tenants share.",
    M14 "A foreign id answers 403, an unknown one 404.",
    M15 "The cache key has no tenant.",
    M16 "The cache key's parts are joined by a delimiter that they may hold.",
    M17 "A tenant's cache entries are dropped by a prefix of another tenant's.",
    M18 "A loaded value is stored under the key that was asked for last.",
    M19 "A background task loses the tenant and falls back to the first one.",
    M20 "The tenant is kept in a thread-local across an await.",
    M21 "A lazily made repository keeps the tenant of whoever came first.",
    M22 "The worker runs every job as the tenant that enqueued last.",
    M23 "A deleted tenant's job runs as the first tenant.",
    M24 "The log of a failing batch prints whole rows, of whomever they are.",
    M25 "The header is believed before the verified token.",
    M26 "A token's signature is remembered, its claims are read from an unverified copy.",
    M27 "An unknown host is served as the first tenant.",
    M28 "Of two tenant headers the first one counts.",
    M29 "`X-Forwarded-Host` is believed from everybody.",
    M30 "A tenant header that cannot be read counts as absent.",
    M31 "The administrators' routes are merged outside of their guard.",
    M32 "The search path is set on the pool instead of the pinned connection.",
    M33 "The search path is not reset when the connection goes back.",
    M34 "The search path is not reset when the request is dropped.",
    M35 "The search path ends in `public`, which has the same tables.",
    M36 "Schema names are cut at 63 bytes.",
    M37 "The service connects as the tables' owner.",
    M38 "A tenant that was found once is remembered for ever.",
    M39 "A tenant that was not found once is not found for ever.",
    M40 "Tenants are remembered by the host as it was spelled.",
    B01 "All tenants have the same rows, apart from their canaries.",
    B02 "The global table is joined everywhere.",
    B03 "The administrators' report shows rows of every tenant.",
    B04 "Ids are random (the time and random bits of a UUID v7).",
    B05 "Answers hold the time, a request id and a nonce.",
    B06 "Customers are listed through a cache of one second.",
    B07 "One tenant is answered 429 now and then.",
    B08 "Lists have no ORDER BY.",
    B09 "A tenant's own texts hold another tenant's id.",
    B10 "Reads that are repeatable are repeated.",
}

impl Variant {
    /// Returns whether this variant leaks.
    #[must_use]
    pub fn is_leaky(self) -> bool {
        self.name().starts_with('M')
    }

    /// Returns whether this variant differs from the correct one without leaking.
    #[must_use]
    pub fn is_benign(self) -> bool {
        self.name().starts_with('B')
    }

    /// Returns the build in which the difference shows: of the wiring of schemas, the one with schemas.
    #[must_use]
    pub fn isolation(self) -> Isolation {
        if (Self::M32..=Self::M36).contains(&self) { Isolation::Schema } else { Isolation::Row }
    }
}
