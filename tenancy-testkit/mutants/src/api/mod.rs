//! The service's routes.

#![allow(unused_qualifications, reason = "what utoipa derives names types by their paths")]

mod admin;
mod customers;
mod grpc;
mod layers;
mod orders;
mod products;
mod reports;
mod request;
mod work;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use axum::routing::{get, post, put};
use http::Method;
use tenancy_tower::ResolveTenantLayer;
use utoipa::OpenApi;

pub(crate) use request::append_event;

use crate::{App, Error, Variant, wiring};

/// Returns the description of the service's routes, as OpenAPI 3.1.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Orders", description = "Customers, products and orders of many tenants."),
    paths(
        customers::list,
        customers::create,
        customers::show,
        customers::upsert,
        customers::with_orders,
        orders::list,
        orders::create,
        orders::show,
        orders::set_status,
        orders::delete,
        orders::search,
        orders::by_tag,
        orders::export,
        products::list,
        products::create,
        products::show,
        products::flush,
        products::storefront,
        reports::report,
        reports::stats,
        reports::totals,
        reports::summary,
        reports::me,
        reports::countries,
        work::events,
        work::audit,
        work::jobs,
        work::enqueue,
        admin::usage,
        admin::status,
        admin::health,
    )
)]
struct Document;

/// Returns the routes: those of tenants behind the resolver, those of administrators behind their key.
pub(crate) fn router(app: App) -> Result<Router, Error> {
    let state = &app.0;
    let resolver =
        wiring::resolver(app.variant(), state.catalog.clone(), state.tokens.clone(), app.tenants())?;
    let tenants = ResolveTenantLayer::new(resolver)
        .with_public_route(Method::GET, "/health")
        .with_public_route(Method::GET, "/status")
        .with_public_route(Method::GET, "/openapi.json");
    let routes =
        tenant_routes().route_layer(from_fn_with_state(app.clone(), layers::session)).merge(public_routes());
    let mut admin = Router::new().route("/admin/usage", get(admin::usage));
    if !app.bug(Variant::M31) {
        admin = admin.route_layer(from_fn(admin::require_key));
    }
    let mut router = routes.layer(tenants).merge(admin).with_state(app.clone());
    if app.bug(Variant::M29) {
        router = router.layer(map_request(wiring::believe_forwarded_host));
    }
    if app.variant().is_benign() {
        router = router.layer(from_fn_with_state(app.clone(), layers::harmless));
    }
    Ok(router.layer(from_fn_with_state(app, layers::logged)))
}

fn tenant_routes() -> Router<App> {
    Router::new()
        .route("/customers", get(customers::list).post(customers::create))
        .route("/customers/{id}", get(customers::show))
        .route("/customers/by-email", put(customers::upsert))
        .route("/customers/with-orders", get(customers::with_orders))
        .route("/orders", get(orders::list).post(orders::create))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/status", post(orders::set_status))
        .route("/orders/delete", post(orders::delete))
        .route("/orders/search", get(orders::search))
        .route("/orders/by-tag/{tag}", get(orders::by_tag))
        .route("/orders/export", get(orders::export))
        .route("/orders/{id}/audit", post(work::audit))
        .route("/products", get(products::list).post(products::create))
        .route("/products/{sku}", get(products::show))
        .route("/products/flush", post(products::flush))
        .route("/storefront", get(products::storefront))
        .route("/report", get(reports::report))
        .route("/stats", get(reports::stats))
        .route("/totals", get(reports::totals))
        .route("/summary", get(reports::summary))
        .route("/me", get(reports::me))
        .route("/countries", get(reports::countries))
        .route("/events", get(work::events))
        .route("/orders.Orders/Show", post(grpc::show))
        .route("/jobs", get(work::jobs).post(work::enqueue))
}

fn public_routes() -> Router<App> {
    Router::new()
        .route("/health", get(admin::health))
        .route("/status", get(admin::status))
        .route("/openapi.json", get(async || axum::Json(openapi())))
}
