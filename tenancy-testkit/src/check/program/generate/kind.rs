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
}

const KINDS: [Kind; 8] = [
    Kind::Reads,
    Kind::Doors,
    Kind::Ids,
    Kind::Meetings,
    Kind::Ends,
    Kind::Broken,
    Kind::Dropped,
    Kind::Whole,
];

/// The same where the way to the database can be broken.
const WITH_HARM: [Kind; 9] = [
    Kind::Reads,
    Kind::Doors,
    Kind::Ids,
    Kind::Meetings,
    Kind::Ends,
    Kind::Broken,
    Kind::Dropped,
    Kind::Harmed,
    Kind::Whole,
];

/// The kinds in their order, for this service.
pub(super) fn kinds(service: &Service) -> &'static [Kind] {
    if service.hooks.proxy.is_some() { &WITH_HARM } else { &KINDS }
}
