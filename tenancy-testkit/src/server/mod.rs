//! One server for all test processes of a run, whatever the service.
//!
//! The pieces: a [`Ladder`] says where a server may come from; the [`state`] folder is what test processes share
//! (a lock, the record of the running server, who uses it); [`attach`](attach()) joins the running server or starts
//! one; [`process`] starts binaries of this machine, under a [`watchdog`]; [`container`] talks to Docker.

pub(crate) mod attach;
pub(crate) mod binaries;
pub(crate) mod container;
mod ladder;
pub(crate) mod local;
pub(crate) mod once;
pub(crate) mod process;
pub(crate) mod ready;
pub(crate) mod reason;
pub(crate) mod runtime;
pub(crate) mod state;
pub(crate) mod watchdog;

pub use ladder::{Ladder, Rung};
