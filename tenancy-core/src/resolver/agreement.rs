//! How several signals are brought together.

use arrayvec::ArrayVec;

use super::{Rejection, RejectionReason};
use crate::context::Provenance;
use crate::strategy::Trust;
use crate::{DomainState, Signal, SignalKind, Tenant, TenantKey};

pub(super) const MOST_SIGNALS: usize = 8;

/// How several signals of one request are brought together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum Agreement {
    /// Every signal that is present must name the same tenant, else the request is refused.
    #[default]
    All,
    /// The first strategy that finds a signal decides, and the others are not asked.
    ///
    /// A malformed signal is refused and never passed over, and a weak one still needs a trusted proxy. With this rule
    /// a caller who may choose between signals chooses the tenant: prefer [`Agreement::All`].
    FirstMatch,
}

/// The signals of one request.
#[derive(Debug, Default)]
pub(super) struct Signals<'r>(ArrayVec<Signal<'r>, MOST_SIGNALS>);

impl<'r> From<Signal<'r>> for Signals<'r> {
    fn from(signal: Signal<'r>) -> Self {
        let mut signals = Self::default();
        signals.push(signal);
        signals
    }
}

impl<'r> Signals<'r> {
    #[inline]
    pub(super) fn push(&mut self, signal: Signal<'r>) {
        self.0.push(signal);
    }

    /// Returns whether `tenant` is named by a signal of this kind that may name it alone.
    #[inline]
    pub(super) fn name(&self, tenant: &Tenant, kind: SignalKind) -> bool {
        let by = |signal: &Signal<'_>| signal.kind == kind && signal.trust == Trust::Strong;
        self.0.iter().any(|signal| by(signal) && tenant.answers_to(&signal.key))
    }

    /// Returns whether the request says nothing but the domain that it is addressed to.
    #[inline]
    pub(super) fn are_domain_alone(&self) -> bool {
        self.domain().is_some() && self.0.len() == 1
    }

    /// Returns the domain that the request is addressed to, if a strategy read it.
    #[inline]
    pub(super) fn domain(&self) -> Option<&str> {
        self.0.iter().find_map(|signal| match &signal.key {
            TenantKey::Domain(name) => Some(&**name),
            _ => None,
        })
    }

    /// Returns the signal that the catalog is asked about: a strong one, a token before others.
    ///
    /// A token comes first so that its holder learns the same of every other tenant that the request names: that
    /// it is not his.
    #[inline]
    pub(super) fn chosen(&self) -> Result<&Signal<'r>, Rejection> {
        let strong = self.0.iter().filter(|signal| signal.trust == Trust::Strong);
        let reason =
            if self.0.is_empty() { RejectionReason::NoTenant } else { RejectionReason::UntrustedSignal };
        strong.min_by_key(|signal| signal.kind).ok_or_else(|| reason.into())
    }

    /// Returns which signals named `tenant`, if all did. A domain of the tenant names it if `check` passes its state.
    ///
    /// # Errors
    ///
    /// Returns the error of `check` before that of any disagreement.
    #[inline]
    pub(super) fn agree_on(
        &self,
        tenant: &Tenant,
        check: impl Fn(&DomainState) -> Result<(), Rejection>,
    ) -> Result<Result<Provenance, Rejection>, Rejection> {
        let mut agreed = Some(Provenance::ASSERTED);
        for signal in &self.0 {
            let named = match &signal.key {
                TenantKey::Domain(name) => {
                    let domain = tenant.domain(name);
                    domain.map(|domain| check(&domain.state)).transpose()?.is_some()
                }
                key => tenant.answers_to(key),
            };
            #[cfg(feature = "broken-on-purpose-for-tests-only")]
            if !named && crate::Guard::Agreement.is_off() {
                continue;
            }
            agreed = agreed.filter(|_| named).map(|agreed| agreed.with(signal.kind));
        }
        Ok(agreed.ok_or_else(|| RejectionReason::Conflict.into()))
    }
}
