//! Between rows and records. A row that is not understood is refused, never half-read.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Set};
use tenancy_core::{
    Domain, DomainState, Error, ErrorKind, Placement, Tenant, TenantDomain, TenantKey, TenantStatus,
};

use super::entity::{domain, tenant};

/// What stands in `tenants.status` of a tenant that is gone, and never in a record.
pub(super) const DELETED: &str = "deleted";
pub(super) const VERIFIED: &str = "verified";
pub(super) const MOVED: &str = "moved";

type Rows = Vec<(tenant::Model, Option<domain::Model>)>;

/// Returns the record that `key` denotes, in one statement: its parts are of one moment.
pub(super) async fn find<C: ConnectionTrait>(
    db: &C,
    key: &TenantKey<'_>,
) -> Result<Option<Arc<Tenant>>, Error> {
    let all = tenant::Entity::find().find_also_related(domain::Entity);
    let query = match key {
        TenantKey::Id(id) => all.filter(tenant::Column::Id.eq(id.to_string())),
        TenantKey::Slug(slug) => all.filter(tenant::Column::Slug.eq(slug.as_str())),
        TenantKey::Domain(name) => {
            let owner = domain::Entity::find().select_only().column(domain::Column::TenantId);
            let owner = owner.filter(domain::Column::Domain.eq(name.as_ref())).into_query();
            all.filter(tenant::Column::Id.in_subquery(owner))
        }
        _ => return Ok(None),
    };
    from_rows(query.all(db).await.map_err(super::unavailable)?)
}

fn from_rows(rows: Rows) -> Result<Option<Arc<Tenant>>, Error> {
    let Some((row, _)) = rows.first().filter(|(row, _)| row.status != DELETED) else { return Ok(None) };
    if rows.iter().any(|(other, _)| other.id != row.id) {
        return Err(corrupt("a key denotes two tenants"));
    }
    let slug = row.slug.as_deref().ok_or_else(|| corrupt("a tenant has no slug"))?;
    let mut builder = Tenant::builder(row.id.parse()?, slug.parse()?)
        .with_status(row.status.parse::<TenantStatus>()?)
        .with_version(u64::try_from(row.version).map_err(|_| corrupt("a version is not negative"))?)
        .with_placement(from_json::<Placement>(&row.placement)?);
    if let Some(name) = &row.name {
        builder = builder.with_name(name);
    }
    if let Some(plan) = &row.plan {
        builder = builder.with_plan(plan.as_str());
    }
    if let Some(region) = &row.region {
        builder = builder.with_region(region.as_str());
    }
    if let Some(seconds) = row.retry_after_seconds {
        let seconds = u64::try_from(seconds).map_err(|_| corrupt("a time is not negative"))?;
        builder = builder.with_retry_after(Duration::from_secs(seconds));
    }
    for (name, value) in from_json::<serde_json::Map<_, _>>(&row.settings)? {
        builder = builder.with_setting(name, value);
    }
    for domain in rows.iter().filter_map(|(_, domain)| domain.as_ref()) {
        builder = builder.with_domain_state(canonical(&domain.domain)?, state(domain)?);
    }
    builder.build().map(Some)
}

fn state(row: &domain::Model) -> Result<DomainState, Error> {
    match (row.state.as_str(), &row.moved_to) {
        (VERIFIED, None) => Ok(DomainState::Verified),
        (MOVED, Some(to)) => {
            let until = row.moved_until.map(from_seconds).transpose()?;
            Ok(DomainState::moved(canonical(to)?, until))
        }
        _ => Err(corrupt("unknown state of a domain")),
    }
}

/// Reads a stored domain, which must stand there as it would be written (DIR-11).
fn canonical(text: &str) -> Result<Domain, Error> {
    Domain::new(text)
        .ok()
        .filter(|domain| domain.as_str() == text)
        .ok_or_else(|| corrupt("a stored domain is canonical"))
}

/// Returns the rows of a record, but for its version.
pub(super) fn to_row(tenant: &Tenant) -> Result<tenant::ActiveModel, Error> {
    let seconds = |time: Duration| i64::try_from(time.as_secs());
    // Settings have no reader that returns them all: the record's own form has them.
    let record = serde_json::to_value(tenant).map_err(|_| corrupt("a tenant is JSON"))?;
    let settings = record.get("settings").map_or_else(|| "{}".to_owned(), ToString::to_string);
    let placement = serde_json::to_string(tenant.placement()).map_err(|_| corrupt("a placement is JSON"))?;
    let retry_after = tenant.retry_after().map(seconds).transpose();
    let name = record.get("name").and_then(|name| name.as_str()).map(ToOwned::to_owned);
    Ok(tenant::ActiveModel {
        id: Set(tenant.id().to_string()),
        slug: Set(Some(tenant.slug().to_string())),
        status: Set(tenant.status().to_string()),
        version: sea_orm::NotSet,
        name: Set(name),
        plan: Set(tenant.plan().map(ToOwned::to_owned)),
        region: Set(tenant.region().map(ToOwned::to_owned)),
        placement: Set(placement),
        retry_after_seconds: Set(retry_after.map_err(|_| corrupt("a time fits into 63 bits"))?),
        settings: Set(settings),
    })
}

pub(super) fn domain_row(tenant: &Tenant, known: &TenantDomain) -> Result<domain::ActiveModel, Error> {
    let (state, to, until) = match &known.state {
        DomainState::Verified => (VERIFIED, None, None),
        DomainState::Moved(moved) => {
            (MOVED, Some(moved.to.to_string()), moved.until.map(to_seconds).transpose()?)
        }
        _ => return Err(Error::new(ErrorKind::NotProven, "a domain is claimed before it is proven")),
    };
    Ok(domain::ActiveModel {
        domain: Set(known.domain.to_string()),
        tenant_id: Set(tenant.id().to_string()),
        state: Set(state.to_owned()),
        moved_to: Set(to),
        moved_until: Set(until),
    })
}

pub(super) fn to_seconds(time: SystemTime) -> Result<i64, Error> {
    let seconds = time.duration_since(UNIX_EPOCH).map_err(|_| corrupt("a date is after 1970"))?.as_secs();
    i64::try_from(seconds).map_err(|_| corrupt("a time fits into 63 bits"))
}

fn from_seconds(seconds: i64) -> Result<SystemTime, Error> {
    let seconds = u64::try_from(seconds).map_err(|_| corrupt("a time is not negative"))?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or_else(|| corrupt("a date can be told"))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|_| corrupt("a tenant's stored parts are JSON of their form"))
}

fn corrupt(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidTenant, reason)
}
