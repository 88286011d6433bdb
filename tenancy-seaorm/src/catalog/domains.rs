//! Whose a domain is: claimed by saying so, served only when proven.

use std::sync::Arc;
use std::time::SystemTime;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set, UpdateMany};
use tenancy_core::{Domain, DomainState, Error, ErrorKind, Tenant, TenantDomain, TenantId};
use uuid::Uuid;

use super::change::{Change, conflict};
use super::entity::{claim, domain};
use super::record::{MOVED, VERIFIED, domain_row, to_seconds};
use super::{CatalogAdmin, unavailable};

/// What a tenant has to publish to prove that a domain belongs to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DomainClaim {
    domain: Domain,
    token: String,
}

impl DomainClaim {
    /// Returns the claimed domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Returns the text that proves the claim: 32 hexadecimal digits, made for this tenant and domain.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the name of the DNS TXT record in which the token is looked for, by convention.
    #[must_use]
    pub fn record(&self) -> String {
        format!("_tenancy-verification.{}", self.domain)
    }
}

impl CatalogAdmin {
    /// Notes that a tenant says that a domain is its own. The domain leads nowhere until
    /// [`CatalogAdmin::verify_domain`]: others may claim it as well, and the one who proves it gets it (DIR-12).
    ///
    /// A second claim of the same tenant gets a new token.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::AlreadyTaken`] if the domain is a tenant's already or in quarantine after another (DIR-14),
    /// [`ErrorKind::InvalidTenant`] if it is below a base domain (DIR-13) or internal to a network,
    /// [`ErrorKind::UnknownTenant`], and [`ErrorKind::CatalogUnavailable`].
    pub async fn claim_domain(&self, id: &TenantId, domain: &Domain) -> Result<DomainClaim, Error> {
        self.check_domain(domain)?;
        let change = self.begin().await?;
        change.tenant(id).await?;
        change.check_free(id, domain).await?;
        let token = Uuid::new_v4().simple().to_string();
        let time = i64::try_from(self.claim_time.as_secs()).unwrap_or(i64::MAX);
        let row = claim::ActiveModel {
            domain: Set(domain.to_string()),
            tenant_id: Set(id.to_string()),
            token: Set(token.clone()),
            expires: Set(change.now.saturating_add(time)),
        };
        let again = OnConflict::columns([claim::Column::Domain, claim::Column::TenantId])
            .update_columns([claim::Column::Token, claim::Column::Expires])
            .to_owned();
        let insert = claim::Entity::insert(row).on_conflict(again);
        insert.exec_without_returning(&change.tx).await.map_err(unavailable)?;
        self.commit(change).await?;
        Ok(DomainClaim { domain: domain.clone(), token })
    }

    /// Gives a claimed domain to its tenant, if `found`, which the caller read from the domain's DNS or web server, is
    /// the claim's token. Every claim of others ends.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::NotProven`] if there is no such claim, if its time is over, or if `found` is something
    /// else; and the errors of [`CatalogAdmin::claim_domain`].
    pub async fn verify_domain(
        &self,
        id: &TenantId,
        domain: &Domain,
        found: &str,
    ) -> Result<Arc<Tenant>, Error> {
        self.check_domain(domain)?;
        let mut change = self.begin().await?;
        let tenant = change.tenant(id).await?;
        let claim = claim::Entity::find_by_id((domain.to_string(), id.to_string()));
        let claim = claim.one(&change.tx).await.map_err(unavailable)?;
        if !claim.is_some_and(|claim| claim.token == found && claim.expires > change.now) {
            return Err(Error::new(ErrorKind::NotProven, "the domain is not proven to be the tenant's"));
        }
        change.check_free(id, domain).await?;
        let known = TenantDomain { domain: domain.clone(), state: DomainState::Verified };
        domain_row(&tenant, &known)?.insert(&change.tx).await.map_err(conflict)?;
        let all = claim::Column::Domain.eq(domain.as_str());
        claim::Entity::delete_many().filter(all).exec(&change.tx).await.map_err(unavailable)?;
        change.touch(id).await?;
        self.finish(change, id).await
    }

    /// Hands a domain from one tenant to another, as a compare-and-swap: only if it is `from`'s (DIR-02).
    ///
    /// The operator vouches for the new owner: no proof is asked for.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Stale`] if the domain is not `from`'s, [`ErrorKind::InvalidTenant`] if others of `from`'s
    /// domains redirect to it, [`ErrorKind::UnknownTenant`], and [`ErrorKind::CatalogUnavailable`].
    pub async fn move_domain(
        &self,
        domain: &Domain,
        from: &TenantId,
        to: &TenantId,
    ) -> Result<Arc<Tenant>, Error> {
        let mut change = self.begin().await?;
        change.tenant(to).await?;
        let update = domain::Entity::update_many()
            .col_expr(domain::Column::TenantId, Expr::val(to.to_string()))
            .col_expr(domain::Column::State, Expr::val(VERIFIED))
            .col_expr(domain::Column::MovedTo, Expr::val(None::<String>))
            .col_expr(domain::Column::MovedUntil, Expr::val(None::<i64>));
        change.swap_domain(update, domain, from).await?;
        change.touch(from).await?;
        change.tenant(from).await?;
        change.touch(to).await?;
        self.finish(change, to).await
    }

    /// Redirects requests for one domain of a tenant to another one of it, until a date if one is given.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Stale`] if the domain is not the tenant's, [`ErrorKind::InvalidTenant`] if `to` is not a
    /// verified domain of it, [`ErrorKind::UnknownTenant`], and [`ErrorKind::CatalogUnavailable`].
    pub async fn redirect_domain(
        &self,
        id: &TenantId,
        domain: &Domain,
        to: &Domain,
        until: Option<SystemTime>,
    ) -> Result<Arc<Tenant>, Error> {
        let until = until.map(to_seconds).transpose()?;
        let mut change = self.begin().await?;
        let update = domain::Entity::update_many()
            .col_expr(domain::Column::State, Expr::val(MOVED))
            .col_expr(domain::Column::MovedTo, Expr::val(to.to_string()))
            .col_expr(domain::Column::MovedUntil, Expr::val(until));
        change.swap_domain(update, domain, id).await?;
        change.touch(id).await?;
        self.finish(change, id).await
    }

    /// Takes a domain away from a tenant. It is nobody else's for the time of quarantine, and to get it back afterwards
    /// needs a proof as it did the first time (DIR-14).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Stale`] if the domain is not the tenant's, [`ErrorKind::InvalidTenant`] if others of its
    /// domains redirect to it, [`ErrorKind::UnknownTenant`], and [`ErrorKind::CatalogUnavailable`].
    pub async fn release_domain(&self, id: &TenantId, domain: &Domain) -> Result<Arc<Tenant>, Error> {
        let mut change = self.begin().await?;
        let own = domain::Column::TenantId.eq(id.to_string());
        let gone =
            domain::Entity::delete_many().filter(domain::Column::Domain.eq(domain.as_str())).filter(own);
        let gone = gone.exec(&change.tx).await.map_err(unavailable)?;
        swapped(gone.rows_affected)?;
        change.reserve("domain", domain.as_str(), id, self.quarantine).await?;
        change.touch(id).await?;
        self.finish(change, id).await
    }

    pub(super) fn check_domain(&self, domain: &Domain) -> Result<(), Error> {
        let fail = |reason| Err(Error::new(ErrorKind::InvalidTenant, reason));
        if self.catalog.is_below_base(domain.as_str()) {
            return fail("a domain of a tenant is not below a base domain");
        }
        if domain.is_internal() {
            return fail("a domain of a tenant is not internal to a network");
        }
        if domain.is_mixed_script() {
            return fail("a label of a domain mixes scripts");
        }
        Ok(())
    }
}

impl Change {
    async fn swap_domain(
        &self,
        update: UpdateMany<domain::Entity>,
        domain: &Domain,
        owner: &TenantId,
    ) -> Result<(), Error> {
        let own = domain::Column::TenantId.eq(owner.to_string());
        let update = update.filter(domain::Column::Domain.eq(domain.as_str())).filter(own);
        swapped(update.exec(&self.tx).await.map_err(conflict)?.rows_affected)
    }
}

fn swapped(rows: u64) -> Result<(), Error> {
    match rows {
        1 => Ok(()),
        _ => Err(Error::new(ErrorKind::Stale, "the domain is not this tenant's")),
    }
}
