//! The small services: each leaks in one place if it is told to, and nowhere otherwise.

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tenancy_mutants::shapes::{Shape, TENANTS};
use tower::ServiceExt;

async fn call(router: &Router, token: &str, method: &str, path: &str, body: &str) -> (StatusCode, String) {
    let request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/json").body(Body::from(body.to_owned()));
    let answer = router.clone().oneshot(request.expect("a request")).await.expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Calls every operation as north with its example, on north's rows and on south's, and says whether `probe` then shows
/// what is south's.
async fn crosses(shape: &Shape, probe: (&str, &str, &str)) -> bool {
    let (router, token) = (shape.router(), shape.token(TENANTS[0]));
    for route in shape.routes().iter().filter(|route| route.method != "DELETE") {
        let own = call(&router, &token, route.method, &route.path.replace("{id}", "1"), route.body).await;
        assert!(own.0.is_success(), "{route:?}: {own:?}");
        let stranger =
            call(&router, "nobody", route.method, &route.path.replace("{id}", "1"), route.body).await;
        assert!(stranger.0 == StatusCode::UNAUTHORIZED || route.path == "/login", "{route:?}: {stranger:?}");
    }
    let (method, path, body) = probe;
    let (_, mut seen) = call(&router, &token, method, path, body).await;
    for route in shape.routes().iter().filter(|route| route.method == "GET") {
        seen += &call(&router, &token, "GET", &route.path.replace("{id}", "1"), "").await.1;
    }
    seen.contains("south")
}

macro_rules! shapes {
    ($($name:ident $probe:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let probe = $probe;
                let correct = Shape::$name(false).await.expect("the service starts");
                assert!(!crosses(&correct, probe).await, "without the mistake nothing crosses");
                let leaky = Shape::$name(true).await.expect("the service starts");
                assert!(crosses(&leaky, probe).await, "the mistake shows");
            }
        )*
    };
}

shapes! {
    blog ("GET", "/posts/2/comments", "");
    todo ("PATCH", "/todos/2", r#"{"done": true}"#);
    shop ("POST", "/cart", r#"{"product_id": 2, "quantity": 1}"#);
    notes ("GET", "/notes/search?q=secret", "");
}
