//! From a request to its tenant: strategies, agreement, directory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, header};
use tenancy_core::{
    Agreement, BoxFuture, CachedCatalog, Domain, HeaderStrategy, RequestHead, Resolution, ResolveInput,
    Resolver, Signal, SignalError, Strategy, SubdomainStrategy, Tenant, TenantContext, TenantKey,
    TenantResolver, TenantSlug,
};

use crate::directory::Directory;
use crate::options::TenantSeed;
use crate::tokens::{BASE_DOMAIN, LooseHeader, Tokens};
use crate::{Error, Variant};

/// The resolver: token, header and subdomain have to agree.
pub(crate) fn resolver(
    variant: Variant,
    catalog: Arc<CachedCatalog<Directory>>,
    tokens: Tokens,
    tenants: &[TenantSeed],
) -> Result<Arc<dyn TenantResolver>, Error> {
    let subdomain = SubdomainStrategy::new([Domain::new(BASE_DOMAIN)?]);
    let mut builder = Resolver::builder(catalog);
    builder = match variant {
        Variant::M25 => builder.with_strategy(LooseHeader(variant)).with_agreement(Agreement::FirstMatch),
        Variant::M28 | Variant::M30 => builder.with_strategy(LooseHeader(variant)),
        _ => builder.with_strategy(HeaderStrategy::new()),
    };
    builder = match variant {
        Variant::M27 => builder.with_strategy(FirstTenant { inner: subdomain, slugs: slugs(tenants) }),
        _ => builder.with_strategy(subdomain),
    };
    let resolver = builder.with_strategy(tokens).build()?;
    if variant == Variant::M40 {
        return Ok(Arc::new(ByHost { inner: resolver, seen: Arc::default() }));
    }
    Ok(Arc::new(resolver))
}

/// The mistake of M27: a host that is nobody's is the first tenant's.
#[derive(Debug)]
struct FirstTenant {
    inner: SubdomainStrategy,
    slugs: Vec<TenantSlug>,
}

impl Strategy for FirstTenant {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let Some(mut signal) = self.inner.read(head)? else { return Ok(None) };
        if !self.slugs.iter().any(|slug| signal.key == TenantKey::Slug(slug.clone())) {
            signal.key = TenantKey::Slug(self.slugs[0].clone());
        }
        Ok(Some(signal))
    }

    fn reads_host(&self) -> bool {
        true
    }
}

fn slugs(tenants: &[TenantSeed]) -> Vec<TenantSlug> {
    tenants.iter().filter_map(|tenant| tenant.slug.parse().ok()).collect()
}

/// The mistake of M29: the host that anybody forwards takes the place of the one that was asked.
pub(crate) async fn believe_forwarded_host(mut request: Request<Body>) -> Request<Body> {
    if let Some(host) = request.headers().get("x-forwarded-host").cloned() {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

type Seen = Arc<Mutex<HashMap<HeaderValue, Arc<Tenant>>>>;

/// The mistake of M40: tenants by the host's text, forgotten by its usual spelling alone.
struct ByHost {
    inner: Resolver,
    seen: Seen,
}

impl TenantResolver for ByHost {
    fn resolve(&self, input: ResolveInput<'_>) -> Resolution {
        let Some(host) = input.headers.get(header::HOST).cloned() else { return self.inner.resolve(input) };
        // What is spelled as usual is looked up anew: a suspension counts at once.
        let usual =
            host.to_str().is_ok_and(|text| *text == *text.to_ascii_lowercase() && !text.ends_with('.'));
        let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
        if let (Some(tenant), false) = (known, usual) {
            let context = TenantContext::assertion(tenant, "known by its host");
            return context
                .map_or_else(|_| self.inner.resolve(input), |context| Resolution::Ready(Ok(context)));
        }
        let (seen, resolution) = (Arc::clone(&self.seen), self.inner.resolve(input));
        let later: BoxFuture<_> = Box::pin(async move {
            let context = resolution.wait().await?;
            if let Ok(copy) = context.tenant().to_builder().build() {
                seen.lock().unwrap_or_else(PoisonError::into_inner).insert(host, copy);
            }
            Ok(context)
        });
        Resolution::Later(later)
    }

    fn vary(&self) -> &[HeaderName] {
        self.inner.vary()
    }
}
