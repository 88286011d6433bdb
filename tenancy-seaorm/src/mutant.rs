//! The ways in which the rewriter can be broken on purpose.

/// One realistic bug of a rewriter, to show that a test suite notices it. Never for production.
#[cfg_attr(not(feature = "broken-on-purpose-for-tests-only"), allow(dead_code, unreachable_pub))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Mutant {
    /// No filter at all.
    NoFilter,
    /// The right-hand side of joins is not filtered.
    JoinSide,
    /// Nested queries are not filtered.
    Subquery,
    /// Common table expressions are not filtered.
    Cte,
    /// The filter is appended without parentheses around the statement's own condition.
    OrPrecedence,
    /// The sources of `UPDATE … FROM` and `DELETE … USING` are not filtered.
    UpdateSource,
    /// Queries inside RETURNING are not filtered.
    Returning,
    /// An upsert's conflict target and action are left as they are.
    UpsertTarget,
    /// `LeakyPredicates::SecondWall` is believed where there is no second wall. Not one of [`Mutant::ALL`], which are
    /// bugs that show without such a policy.
    AssumedWall,
}

#[cfg(feature = "broken-on-purpose-for-tests-only")]
impl Mutant {
    /// Every bug of the rewriter that shows under every policy, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::NoFilter,
        Self::JoinSide,
        Self::Subquery,
        Self::Cte,
        Self::OrPrecedence,
        Self::UpdateSource,
        Self::Returning,
        Self::UpsertTarget,
    ];
}
