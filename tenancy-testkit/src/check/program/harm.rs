//! [`Harm`]: what happens to the way to the database in the middle of a request.

use std::fmt;

use crate::proxy::{Fault, Side};

/// A message of the database's that does not arrive as it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Harm {
    pub(crate) kind: HarmKind,
    /// Which message, from 1, counted from when the request is sent.
    pub(crate) at: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HarmKind {
    /// The message is held until the client has gone away.
    Hold,
    /// The connection is closed in its place.
    Cut,
    /// The connection is reset in its place.
    Reset,
}

pub(crate) const HARMS: [HarmKind; 3] = [HarmKind::Hold, HarmKind::Cut, HarmKind::Reset];

impl Harm {
    pub(crate) fn fault(self) -> Fault {
        let fault = match self.kind {
            HarmKind::Hold => Fault::hold(Side::Server),
            HarmKind::Cut => Fault::cut(Side::Server),
            HarmKind::Reset => Fault::reset(Side::Server),
        };
        fault.at(self.at.into())
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            HarmKind::Hold => "held, and the client goes away",
            HarmKind::Cut => "cut off with its connection",
            HarmKind::Reset => "lost as its connection is reset",
        };
        write!(f, "message {} of the database is {what}", self.at)
    }
}
