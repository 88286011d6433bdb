//! The tenant in the host: its own domain, or a label below the platform's.

use super::{RequestHead, Signal, SignalError, SignalKind, Strategy, Trust};
use crate::host::labels_below;
use crate::octets::are_equal;
use crate::{Domain, TenantKey, TenantSlug};

/// Reads the tenant from its own domain: `shop.acme.example`.
///
/// Hosts at and below the platform's own base domains are not domains of tenants: name these here if the service has
/// any, and let [`SubdomainStrategy`] read them.
#[derive(Clone, Debug, Default)]
pub struct DomainStrategy {
    except: Box<[Domain]>,
}

impl DomainStrategy {
    /// Returns a strategy that reads every host name as a tenant's domain.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out the hosts at and below `bases`, which belong to the platform.
    #[must_use]
    pub fn with_base_domains(mut self, bases: impl IntoIterator<Item = Domain>) -> Self {
        self.except = bases.into_iter().collect();
        self
    }
}

impl Strategy for DomainStrategy {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let Some(name) = head.host.name() else { return Ok(None) };
        let platform = |base: &Domain| name == base.as_str() || labels_below(name, base.as_str()).is_some();
        if self.except.iter().any(platform) {
            return Ok(None);
        }
        Ok(Some(Signal {
            kind: SignalKind::Domain,
            key: TenantKey::Domain(name.into()),
            trust: Trust::Strong,
        }))
    }

    fn reads_host(&self) -> bool {
        true
    }

    fn base_domains(&self) -> &[Domain] {
        &self.except
    }
}

/// Reads the tenant from the one label below a base domain of the platform: `acme.app.example` names `acme`.
///
/// A deeper name, a reserved label (`www`, `api`) and a label that is no slug name nobody. The base domain itself says
/// nothing about a tenant.
///
/// # Examples
///
/// ```
/// use tenancy_core::{Domain, SubdomainStrategy};
///
/// let strategy = SubdomainStrategy::new([Domain::new("app.example")?]).with_reserved(["billing", "docs"]);
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SubdomainStrategy {
    bases: Box<[Domain]>,
    /// What stands behind a tenant's label: each base, with a dot in front.
    ends: Box<[Box<[u8]>]>,
    reserved: Box<[Box<str>]>,
}

impl SubdomainStrategy {
    /// Returns a strategy that reads hosts one label below one of `bases`.
    #[must_use]
    pub fn new(bases: impl IntoIterator<Item = Domain>) -> Self {
        let bases: Box<[Domain]> = bases.into_iter().collect();
        let ends = bases.iter().map(|base| [b".", base.as_str().as_bytes()].concat().into()).collect();
        Self { bases, ends, reserved: Box::default() }
    }

    /// Reserves labels for the service, beside those that no slug may be (TWR-14).
    #[must_use]
    pub fn with_reserved<'a>(mut self, labels: impl IntoIterator<Item = &'a str>) -> Self {
        self.reserved = labels.into_iter().map(Box::from).collect();
        self
    }

    /// Returns what would be the tenant's slug if `host` were a name in canonical form, and the label a slug.
    #[inline]
    pub(crate) fn label_of<'h>(&self, host: &'h [u8]) -> Option<&'h [u8]> {
        let below = |end: &[u8]| {
            let (label, found) = host.split_at_checked(host.len().checked_sub(end.len())?)?;
            are_equal(found, end).then_some(label)
        };
        let label = self.ends.iter().find_map(|end| below(end))?;
        let reserved = self.reserved.iter().any(|reserved| reserved.as_bytes() == label);
        (!reserved && host.len() <= Domain::MAX_LEN).then_some(label)
    }
}

impl Strategy for SubdomainStrategy {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let Some(name) = head.host.name() else { return Ok(None) };
        let Some(label) = self.bases.iter().find_map(|base| labels_below(name, base.as_str())) else {
            return Ok(None);
        };
        let reserved = self.reserved.iter().any(|reserved| **reserved == *label);
        match TenantSlug::new(label) {
            Ok(slug) if !reserved => {
                let key = TenantKey::Slug(slug);
                Ok(Some(Signal { kind: SignalKind::Subdomain, key, trust: Trust::Strong }))
            }
            // The request addresses a place below the base where no tenant can be.
            _ => Err(SignalError::Malformed(SignalKind::Subdomain)),
        }
    }

    fn reads_host(&self) -> bool {
        true
    }

    fn base_domains(&self) -> &[Domain] {
        &self.bases
    }
}
