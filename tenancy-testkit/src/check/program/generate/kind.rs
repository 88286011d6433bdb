//! [`Kind`]: what programs are about, and in which order.

use crate::check::describe::Service;

/// What a program is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// What tenants are shown of their own.
    Reads,
    /// Wrong names of tenants.
    Doors,
    /// Ids and texts of others.
    Ids,
    /// Requests that meet: at the same time, or under the same key.
    Meetings,
    /// Tenants that come and go, and their jobs.
    Ends,
    /// Clients that go away.
    Dropped,
    /// Tables that go away.
    Broken,
    /// Breaks on the way to the database.
    Harmed,
    /// All of it, and at random.
    Whole,
    /// Many requests of everybody at the same time.
    Crowd,
}

/// What a short program shows is shown in fewer steps than by a crowd, which takes as long as four of them: there is one for
/// every four others, and lanes are left for those.
const KINDS: [Kind; 11] = [
    Kind::Reads,
    Kind::Doors,
    Kind::Ids,
    Kind::Meetings,
    Kind::Ends,
    Kind::Broken,
    Kind::Crowd,
    Kind::Dropped,
    Kind::Harmed,
    Kind::Whole,
    Kind::Crowd,
];

/// The kinds in their order, for this service: nothing breaks on a way that cannot be broken.
pub(super) fn kinds(service: &Service) -> Vec<Kind> {
    let harm = service.hooks.proxy.is_some();
    KINDS.into_iter().filter(|kind| harm || *kind != Kind::Harmed).collect()
}
