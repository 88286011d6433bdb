//! Small services in the shape of public examples, none of them written for the test kit.
//!
//! They keep tenants apart by hand, as most services do: every query names the tenant of the caller's token. Each has one
//! place where it does not, behind a switch.
//!
//! ```no_run
//! # async fn example() -> Result<(), tenancy_mutants::Error> {
//! use tenancy_mutants::shapes::{Shape, TENANTS};
//!
//! let blog = Shape::blog(true).await?;
//! let token = blog.token(TENANTS[0]);
//! # Ok(())
//! # }
//! ```

mod blog;
mod notes;
mod shop;
mod todo;

use std::fmt;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use sea_orm::{DatabaseConnection, DbErr, SqlxPostgresConnector};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use tenancy_testkit::TestDatabase;

use crate::Error;

/// The tenants of every one of these services.
pub const TENANTS: [&str; 2] = ["north", "south"];

/// An operation of a service: what a list written by hand tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// An example of the body, or nothing.
    pub body: &'static str,
}

const fn route(method: &'static str, path: &'static str, body: &'static str) -> Route {
    Route { method, path, body }
}

/// A running service with a database of its own.
pub struct Shape {
    router: Router,
    routes: &'static [Route],
    database: TestDatabase,
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shape").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl Shape {
    /// Starts a blog: posts with comments, and a login. If `leaky`, comments are read by their post's id alone.
    ///
    /// # Errors
    ///
    /// Returns what keeps the database from starting.
    pub async fn blog(leaky: bool) -> Result<Self, Error> {
        let (database, pool) = open("blog", blog::SCHEMA).await?;
        Ok(Self { router: blog::router(pool, leaky), routes: blog::ROUTES, database })
    }

    /// Starts a list of things to do. If `leaky`, a change finds its row by id alone.
    ///
    /// # Errors
    ///
    /// Returns what keeps the database from starting.
    pub async fn todo(leaky: bool) -> Result<Self, Error> {
        let (database, pool) = open("todo", todo::SCHEMA).await?;
        Ok(Self { router: todo::router(pool, leaky), routes: todo::ROUTES, database })
    }

    /// Starts a shop with carts. If `leaky`, anybody's product can be put into a cart.
    ///
    /// # Errors
    ///
    /// Returns what keeps the database from starting.
    pub async fn shop(leaky: bool) -> Result<Self, Error> {
        let (database, pool) = open("shop", shop::SCHEMA).await?;
        Ok(Self { router: shop::router(pool, leaky), routes: shop::ROUTES, database })
    }

    /// Starts a service of notes on sqlx alone. If `leaky`, its search ends in an OR that forgets the tenant.
    ///
    /// # Errors
    ///
    /// Returns what keeps the database from starting.
    pub async fn notes(leaky: bool) -> Result<Self, Error> {
        let (database, pool) = open("notes", notes::SCHEMA).await?;
        Ok(Self { router: notes::router(pool, leaky), routes: notes::ROUTES, database })
    }

    /// Returns the service.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Returns its operations.
    #[must_use]
    pub fn routes(&self) -> &'static [Route] {
        self.routes
    }

    /// Returns its database.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Returns the bearer token of `tenant`'s user.
    #[must_use]
    pub fn token(&self, tenant: &str) -> String {
        format!("token-of-{tenant}")
    }
}

/// Whose user sends the request, by the token in `authorization`.
struct Caller(String);

impl<S> FromRequestParts<S> for Caller
where
    PgPool: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(Failure(StatusCode::UNAUTHORIZED))?;
        let tenant = sqlx::query_scalar("SELECT tenant FROM users WHERE token = $1");
        let tenant = tenant.bind(token).fetch_optional(&PgPool::from_ref(state)).await?;
        tenant.map(Self).ok_or(Failure(StatusCode::UNAUTHORIZED))
    }
}

/// Why a request is not answered: a status, and nothing that the database said.
struct Failure(StatusCode);

impl Failure {
    const NOT_FOUND: Self = Self(StatusCode::NOT_FOUND);
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl From<DbErr> for Failure {
    fn from(_: DbErr) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(_: sqlx::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// The state of a service: its pool, and whether the mistake is in.
#[derive(Clone)]
struct State {
    pool: PgPool,
    leaky: bool,
}

impl FromRef<State> for PgPool {
    fn from_ref(state: &State) -> Self {
        state.pool.clone()
    }
}

impl State {
    fn db(&self) -> DatabaseConnection {
        SqlxPostgresConnector::from_sqlx_postgres_pool(self.pool.clone())
    }
}

/// Makes a database with the users and `schema`.
async fn open(name: &str, schema: &'static str) -> Result<(TestDatabase, PgPool), Error> {
    let users = "CREATE TABLE users (token text PRIMARY KEY, tenant text NOT NULL, password text NOT NULL);
                 INSERT INTO users SELECT 'token-of-' || t, t, 'secret of ' || t FROM unnest(ARRAY['north', 'south']) t;";
    let database = TestDatabase::from_template(&format!("shape {name}"), |url| async move {
        let mut owner = PgConnection::connect(&url).await?;
        owner.execute(AssertSqlSafe(format!("{users}{schema}"))).await?;
        owner.close().await?;
        Ok::<_, Error>(())
    })
    .await?;
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .test_before_acquire(false)
        .connect(database.app_url())
        .await?;
    Ok((database, pool))
}
