//! [`Record`]: a request of a run and its answer; [`Standings`]: who is served at the moment.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::Value;

use crate::check::describe::{Standing, World};
use crate::check::detect::decode;
use crate::check::program::request::Outgoing;
use crate::check::program::signal::Signal;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) json: Option<Value>,
}

impl Answer {
    pub(crate) fn new(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let body = decode::decoded(&parts.headers, body);
        let json = serde_json::from_slice(&body).ok();
        Self { status: parts.status.as_u16(), headers: parts.headers, body, json }
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Limits of rate and capacity are nobody's leak.
    pub(crate) fn is_throttled(&self) -> bool {
        matches!(self.status, 429 | 503 | 504)
    }
}

/// One request of a run, and its answer if there was one.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) step: u16,
    pub(crate) call: usize,
    pub(crate) caller: usize,
    pub(crate) signal: Signal,
    pub(crate) operation: usize,
    pub(crate) name: String,
    pub(crate) reads: bool,
    /// Whether it asks for no thing in particular, so that there is nothing to be not found.
    pub(crate) is_list: bool,
    pub(crate) outgoing: Outgoing,
    pub(crate) answer: Option<Answer>,
}

impl Record {
    pub(crate) fn key(&self) -> (u16, usize) {
        (self.step, self.call)
    }
}

/// Which tenants are served at the moment, as far as the operator's steps say.
#[derive(Clone, Debug)]
pub(crate) struct Standings {
    now: Vec<(Standing, Option<Instant>)>,
    bound: Duration,
}

impl Standings {
    pub(super) fn new(world: &World, bound: Duration) -> Self {
        Self { now: world.all().iter().map(|tenant| (tenant.standing(), None)).collect(), bound }
    }

    pub(super) fn set(&mut self, tenant: usize, standing: Standing) {
        self.now[tenant] = (standing, Some(Instant::now()));
    }

    fn settled(&self, tenant: usize) -> bool {
        self.now[tenant].1.is_none_or(|since| since.elapsed() > self.bound)
    }

    /// Suspended or deleted, and for long enough.
    pub(crate) fn ended(&self, tenant: usize) -> bool {
        self.now[tenant].0 == Standing::Suspended && self.settled(tenant)
    }

    /// Brought in during this run, and for long enough.
    pub(crate) fn begun(&self, tenant: usize) -> bool {
        let (standing, since) = self.now[tenant];
        standing == Standing::Active && since.is_some() && self.settled(tenant)
    }

    /// The service does not know it.
    pub(crate) fn unknown(&self, tenant: usize) -> bool {
        self.now[tenant].0 == Standing::Later
    }

    pub(super) fn active(&self, tenant: usize) -> bool {
        matches!(self.now[tenant].0, Standing::Active | Standing::Empty)
    }
}
