//! Requests by hand, and what they bring to light.

use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tenancy_mutants::{App, BASE_DOMAIN, Credential, Options, TenantSeed};
use tower::ServiceExt;

/// An application with two tenants in the foreground: `a` is the one who looks, `b` the one who is seen.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) router: Router,
    pub(crate) a: TenantSeed,
    pub(crate) b: TenantSeed,
}

/// An answer, read to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) cache: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(crate) fn shows(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

impl World {
    pub(crate) async fn start(options: Options) -> Self {
        let app = App::start(options).await.expect("the application starts");
        let (a, b) = (app.tenants()[0].clone(), app.tenants()[1].clone());
        Self { router: app.router(), app, a, b }
    }

    /// The same application, with another tenant to be seen.
    pub(crate) fn seeing(&self, tenant: usize) -> Self {
        let (a, b) = (self.a.clone(), self.app.tenants()[tenant].clone());
        Self { app: self.app.clone(), router: self.router.clone(), a, b }
    }

    /// Whether `answer`, which `a` got, shows anybody else's rows.
    pub(crate) fn crossed(&self, answer: &Answer) -> bool {
        let mut others = self.app.tenants().iter().filter(|tenant| tenant.id != self.a.id);
        others.any(|tenant| answer.shows(&tenant.canary()))
    }

    pub(crate) fn credential(&self, tenant: &TenantSeed) -> Credential {
        self.app.credential(tenant).expect("a credential")
    }

    /// A request with the credential of `tenant`.
    pub(crate) fn request(
        &self,
        tenant: &TenantSeed,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Request<Body> {
        let request = self.credential(tenant).apply(Request::builder().method(method).uri(path));
        if body.is_null() {
            return request.body(Body::empty()).expect("a request");
        }
        request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request")
    }

    pub(crate) async fn get(&self, tenant: &TenantSeed, path: &str) -> Answer {
        self.call(tenant, Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn post(&self, tenant: &TenantSeed, path: &str, body: Value) -> Answer {
        self.call(tenant, Method::POST, path, &body).await
    }

    /// Sends a request again when it was one too many.
    pub(crate) async fn call(&self, tenant: &TenantSeed, method: Method, path: &str, body: &Value) -> Answer {
        loop {
            let answer = self.send(self.request(tenant, method.clone(), path, body)).await;
            if answer.status != StatusCode::TOO_MANY_REQUESTS {
                return answer;
            }
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> =
            self.router.clone().oneshot(request).await.expect("the router answers");
        let cache = response.headers().get("x-cache").map(|value| value.to_str().expect("a word").to_owned());
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        Answer { status, cache, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// A GET with these headers alone.
    pub(crate) async fn bare(&self, host: &str, path: &str, headers: &[(&str, HeaderValue)]) -> Answer {
        let mut request = Request::builder().uri(path).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    /// The header `authorization` of `tenant`.
    pub(crate) fn bearer(&self, tenant: &TenantSeed) -> HeaderValue {
        let credential = self.credential(tenant);
        credential.headers.into_iter().find(|(name, _)| name == "authorization").expect("a token").1
    }

    pub(crate) fn host(tenant: &TenantSeed) -> String {
        format!("{}.{BASE_DOMAIN}", tenant.slug)
    }
}
