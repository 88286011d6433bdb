//! Running statements on copies of a world, and comparing what they did.

pub(crate) mod alone;
pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod lane;
pub(crate) mod shrink;
pub(crate) mod worker;
