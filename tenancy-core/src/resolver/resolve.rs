//! The way of one request: its head, the signals in it, the catalog's answer, the policy.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, Request, Uri, Version};

use super::agreement::Signals;
use super::{Agreement, Inner, Rejection, RejectionReason, Resolution, ResolveInput, UnknownHost};
use crate::catalog::BoxFuture;
use crate::strategy::Trust;
use crate::{
    Error, HostError, Lookup, Provenance, RequestHead, RequestHost, SignalKind, Strategy, Tenant,
    TenantContext, TenantId, TenantKey,
};

impl Inner {
    /// Apart from the glance, which most requests do not go beyond: it would have to make room for all that is here.
    #[inline(never)]
    pub(super) fn resolve_strictly(self: &Arc<Self>, input: ResolveInput<'_>) -> Resolution {
        if has_no_resource(input.method, input.uri, input.version) {
            return refuse(RejectionReason::NoTenant.into());
        }
        let mut head = without_host(input);
        if let Err(error) = self.read_host(&mut head) {
            return refuse(error.into());
        }
        match &*self.strategies {
            [strategy] => self.resolve_by_one(&**strategy, &head),
            _ => self.resolve_by_all(&head),
        }
    }

    /// The usual case in fewer steps, and by the same rules: one strategy, whose signal names an active tenant. Every
    /// other outcome is decided as where there are several.
    #[inline]
    fn resolve_by_one(self: &Arc<Self>, strategy: &dyn Strategy, head: &RequestHead<'_>) -> Resolution {
        // Looked at where it stands, rather than moved out.
        let signal = strategy.read(head);
        let signal = match &signal {
            Ok(Some(signal)) if signal.trust == Trust::Strong => signal,
            Ok(Some(_)) => return refuse(RejectionReason::UntrustedSignal.into()),
            Ok(None) => return refuse(RejectionReason::NoTenant.into()),
            Err(error) => return refuse((*error).into()),
        };
        match self.catalog.find(&signal.key) {
            Lookup::Found(tenant)
                if self.policy.asks_nothing_of(&tenant) && tenant.answers_to(&signal.key) =>
            {
                let by = Provenance::ASSERTED.with(signal.kind);
                Resolution::Ready(Ok(TenantContext::resolved(tenant, by)))
            }
            answer => self.go_on(answer, &signal.clone().into(), head).unwrap_or_else(refuse),
        }
    }

    fn resolve_by_all(self: &Arc<Self>, head: &RequestHead<'_>) -> Resolution {
        let mut signals = Signals::default();
        let answer = self.read_signals(head, &mut signals).and_then(|()| {
            let answer = self.catalog.find(&signals.chosen()?.key);
            self.go_on(answer, &signals, head)
        });
        answer.unwrap_or_else(refuse)
    }

    fn go_on(
        self: &Arc<Self>,
        answer: Lookup,
        signals: &Signals<'_>,
        head: &RequestHead<'_>,
    ) -> Result<Resolution, Rejection> {
        match answer {
            Lookup::Later(answer) => Ok(Resolution::Later({
                let (request, peer) = (ResolveInput::of(head).to_request(), head.peer);
                Arc::clone(self).resolve_later(answer, request, peer)
            })),
            Lookup::Found(tenant) => self.decide(Some(tenant), signals, head),
            Lookup::Absent => self.decide(None, signals, head),
        }
    }

    /// Goes on when the catalog has answered. The head is read again from a copy: that is nothing beside the waiting.
    fn resolve_later(
        self: Arc<Self>,
        answer: BoxFuture<Result<Option<Arc<Tenant>>, Error>>,
        request: Request<()>,
        peer: Option<IpAddr>,
    ) -> BoxFuture<Result<TenantContext, Rejection>> {
        Box::pin(async move {
            let tenant = answer.await?;
            let resolution = {
                let head = self.read_head(ResolveInput::new(&request, peer))?;
                let mut signals = Signals::default();
                self.read_signals(&head, &mut signals)?;
                self.decide(tenant, &signals, &head)?
            };
            resolution.wait().await
        })
    }

    #[inline]
    fn decide(
        self: &Arc<Self>,
        tenant: Option<Arc<Tenant>>,
        signals: &Signals<'_>,
        head: &RequestHead<'_>,
    ) -> Result<Resolution, Rejection> {
        let alone = signals.are_domain_alone();
        let resolution = match (tenant, &self.unknown_host) {
            (Some(tenant), _) => self.policy.decide(tenant, signals, head),
            (None, UnknownHost::Tenant(id)) if alone => Ok(self.serve_as(id, head)),
            (None, _) => Err(RejectionReason::UnknownTenant.into()),
        };
        match &self.unknown_host {
            UnknownHost::Redirect(to) if alone && !leads_to(to, head.host.name()) => {
                Ok(redirect_unknown(resolution, to))
            }
            _ => resolution,
        }
    }

    /// Serves an unknown host as the tenant `id`, by the same policy as everybody else's requests.
    fn serve_as(self: &Arc<Self>, id: &TenantId, head: &RequestHead<'_>) -> Resolution {
        match self.catalog.find(&TenantKey::Id(id.clone())) {
            Lookup::Found(tenant) => self.admit_host_tenant(tenant, id, head),
            Lookup::Absent => Resolution::Ready(Err(RejectionReason::UnknownTenant.into())),
            Lookup::Later(answer) => {
                let (this, id) = (Arc::clone(self), id.clone());
                let (request, peer) = (ResolveInput::of(head).to_request(), head.peer);
                Resolution::Later(Box::pin(async move {
                    let tenant = answer.await?.ok_or(RejectionReason::UnknownTenant)?;
                    let resolution = {
                        let head = this.read_head(ResolveInput::new(&request, peer))?;
                        this.admit_host_tenant(tenant, &id, &head)
                    };
                    resolution.wait().await
                }))
            }
        }
    }

    fn admit_host_tenant(&self, tenant: Arc<Tenant>, id: &TenantId, head: &RequestHead<'_>) -> Resolution {
        if tenant.id() != id {
            return Resolution::Ready(Err(RejectionReason::UnknownTenant.into()));
        }
        let provenance = Provenance::ASSERTED.with(SignalKind::UnknownHost);
        self.policy.admit(tenant, Ok(provenance), false, head)
    }

    fn read_head<'r>(&self, input: ResolveInput<'r>) -> Result<RequestHead<'r>, HostError> {
        let mut head = without_host(input);
        self.read_host(&mut head)?;
        Ok(head)
    }

    /// Fills in the host where it stands: it is moved as seldom as can be.
    #[inline(always)]
    fn read_host<'r>(&self, head: &mut RequestHead<'r>) -> Result<(), HostError> {
        let forwarded = self.forwarded.as_ref();
        head.host.read_into(head.version, head.uri, head.headers, head.peer, forwarded)?;
        if self.reads_host && !head.host.is_present() { Err(HostError::Missing) } else { Ok(()) }
    }

    /// Fills `signals` where they stand: they are large, and moving them would cost as much as reading them.
    #[inline]
    fn read_signals<'h>(
        &self,
        head: &'h RequestHead<'_>,
        signals: &mut Signals<'h>,
    ) -> Result<(), Rejection> {
        for strategy in &self.strategies {
            if let Some(signal) = strategy.read(head)? {
                signals.push(signal);
                if self.agreement == Agreement::FirstMatch {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn without_host(input: ResolveInput<'_>) -> RequestHead<'_> {
    let ResolveInput { method, uri, version, headers, extensions, peer } = input;
    RequestHead { method, uri, version, headers, extensions, peer, host: RequestHost::NONE }
}

#[cold]
fn refuse(rejection: Rejection) -> Resolution {
    Resolution::Ready(Err(rejection))
}

/// Whether the request is for no resource at all. Neither a tunnel nor the server as a whole belongs to a tenant (RFC
/// 9110, sections 9.3.6 and 9.3.7). A WebSocket over HTTP/2 comes by CONNECT too, but with a scheme and a path (RFC 8441,
/// section 4).
#[inline]
pub(super) fn has_no_resource(method: &Method, uri: &Uri, version: Version) -> bool {
    let extended = || version >= Version::HTTP_2 && uri.scheme().is_some();
    (*method == Method::CONNECT && !extended()) || is_asterisk(uri)
}

#[inline]
fn is_asterisk(uri: &Uri) -> bool {
    !has_slashed_path(uri) && uri.path() == "*"
}

/// Nearly every target has a path that begins with a slash, and to see that is less work than to cut the path out.
#[inline]
pub(super) fn has_slashed_path(uri: &Uri) -> bool {
    uri.path_and_query().is_some_and(|target| target.as_str().starts_with('/'))
}

/// Whether a redirect to `to` would come back to the host `name`, for ever.
fn leads_to(to: &Uri, name: Option<&str>) -> bool {
    to.host().zip(name).is_some_and(|(to, name)| to.eq_ignore_ascii_case(name))
}

/// Sends to `to` whoever would be told that there is no such tenant, so that unknown hosts and the domains of tenants
/// that the caller may not know of get one answer (TWR-48).
fn redirect_unknown(resolution: Result<Resolution, Rejection>, to: &Uri) -> Resolution {
    let hide = |rejection: Rejection, to: &Uri| match rejection.reason() {
        RejectionReason::UnknownTenant | RejectionReason::NotAMember => Rejection::redirect(to.clone()),
        _ => rejection,
    };
    match resolution {
        Ok(Resolution::Ready(answer)) => Resolution::Ready(answer.map_err(|rejection| hide(rejection, to))),
        Ok(Resolution::Later(answer)) => {
            let to = to.clone();
            Resolution::Later(Box::pin(async move { answer.await.map_err(|rejection| hide(rejection, &to)) }))
        }
        Err(rejection) => Resolution::Ready(Err(hide(rejection, to))),
    }
}
