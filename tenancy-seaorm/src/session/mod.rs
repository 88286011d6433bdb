//! Connections that are pinned for one request or job, and where they wait for the next one.
//!
//! A session's connection is told its tenant once. When the session is dropped it is put onto a shelf, still set to
//! that tenant: the tenant's next session takes it without a word to the server, and another tenant's is a single
//! statement away. Only connections of which it is known that nothing is left of them come to lie there.

mod bind;
mod probe;
mod shelf;

pub(crate) use self::bind::leased;
pub use self::probe::Pooling;
pub(crate) use self::probe::{Between, pooled};
pub(crate) use self::shelf::Shelf;
pub use self::shelf::{SessionOptions, SessionStats};
