//! An object store that sees one tenant's objects: in memory, on a local disk, and, signed, on S3.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tenancy_core::{Error, ErrorKind, TenantObjectStore};

use super::context;

type Shared = Arc<dyn ObjectStore>;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tenancy-blob-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn store(&self) -> Shared {
        Arc::new(LocalFileSystem::new_with_prefix(&self.0).unwrap())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn kind(error: &object_store::Error) -> Option<ErrorKind> {
    let object_store::Error::Generic { source, .. } = error else { return None };
    source.downcast_ref::<Error>().map(Error::kind)
}

async fn names(store: &dyn ObjectStore, prefix: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> =
        store.list(prefix).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    names.sort();
    names
}

async fn text(store: &dyn ObjectStore, path: &str) -> String {
    let bytes = store.get(&path.into()).await.unwrap().bytes().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn check_confined(bucket: Shared) {
    let tenants = ["1", "10", "1.x", "acme", "Acme", &"a".repeat(255)].map(context);
    let stores = tenants.clone().map(|tenant| TenantObjectStore::new(Arc::clone(&bucket), &tenant));
    for (tenant, store) in tenants.iter().zip(&stores) {
        for path in ["uploads/a.txt", "uploads/deep/b.txt", "10/x", "c"] {
            let path = TenantObjectStore::path(path).unwrap();
            store.put(&path, format!("{} {path}", tenant.id()).into()).await.unwrap();
        }
    }
    assert_eq!(text(&bucket, "1/uploads/a.txt").await, "1 uploads/a.txt", "the layout that the links know");
    assert_eq!(names(&bucket, None).await.len(), 24, "no two met");
    for (tenant, store) in tenants.iter().zip(&stores) {
        assert_eq!(text(store, "uploads/a.txt").await, format!("{} uploads/a.txt", tenant.id()));
        let first = std::slice::from_ref(&(0..1));
        let ranges = store.get_ranges(&"uploads/a.txt".into(), first).await.unwrap();
        assert_eq!(ranges, [&tenant.id().to_string().as_bytes()[..1]]);
        assert_eq!(names(store, None).await, ["10/x", "c", "uploads/a.txt", "uploads/deep/b.txt"]);
        assert_eq!(names(store, Some(&"uploads".into())).await, ["uploads/a.txt", "uploads/deep/b.txt"]);
        let top = store.list_with_delimiter(None).await.unwrap();
        assert_eq!(top.common_prefixes, ["10".into(), "uploads".into()]);
        assert_eq!(top.objects.len(), 1);
        let later: Vec<_> = store.list_with_offset(None, &"d".into()).try_collect().await.unwrap();
        assert_eq!(later.len(), 2);
    }
    let (one, others) = stores.split_first().unwrap();
    one.copy(&"c".into(), &"copied".into()).await.unwrap();
    one.rename(&"copied".into(), &"moved".into()).await.unwrap();
    assert_eq!(text(one, "moved").await, "1 c");
    let all = one.list(None).map_ok(|meta| meta.location).boxed();
    let deleted: Vec<Path> = one.delete_stream(all).try_collect().await.unwrap();
    assert_eq!(deleted.len(), 5);
    assert!(deleted.iter().all(|path| !path.as_ref().starts_with("1/")), "named as the tenant names them");
    assert!(names(one, None).await.is_empty());
    for other in others {
        assert_eq!(names(other, None).await.len(), 4, "nobody else lost anything");
    }
}

#[tokio::test]
async fn tenants_in_memory_are_confined() {
    check_confined(Arc::new(InMemory::new())).await;
}

#[tokio::test]
async fn tenants_on_a_local_disk_are_confined() {
    let directory = Directory::new("confined");
    check_confined(directory.store()).await;
}

/// Where `TENANCY_S3` names a store that speaks S3, such as `http://127.0.0.1:5000` of moto's server. A bucket is made in it.
#[cfg(feature = "object-store-cloud")]
#[tokio::test]
async fn tenants_on_s3_are_confined() {
    let Ok(endpoint) = std::env::var("TENANCY_S3") else {
        println!("NOT RUN: TENANCY_S3 names no store");
        return;
    };
    let bucket = format!("tenancy-{}", std::process::id());
    s3::make_bucket(&endpoint, &bucket).await;
    check_confined(Arc::new(s3::store(&endpoint, &bucket, s3::Network::new()))).await;
    // A name that S3 would resolve, were it not refused before.
    let all = Arc::new(s3::store(&endpoint, &bucket, s3::Network::new()));
    all.put(&"2/secret".into(), "b's".into()).await.unwrap();
    let one = TenantObjectStore::new(Arc::clone(&all), &context("1"));
    assert_eq!(kind(&one.get(&"..%2F2%2Fsecret".into()).await.unwrap_err()), Some(ErrorKind::InvalidName));
    assert!(matches!(one.get(&"secret".into()).await, Err(object_store::Error::NotFound { .. })));
    assert!(names(&one, None).await.is_empty());
}

#[tokio::test]
async fn no_path_leads_out() {
    // OPS-15.
    let directory = Directory::new("traversal");
    for bucket in [directory.store(), Arc::new(InMemory::new()) as Shared] {
        bucket.put(&"2/secret".into(), "b's".into()).await.unwrap();
        let store = TenantObjectStore::new(Arc::clone(&bucket), &context("1"));
        let hostile = [
            "../2/secret",
            "a/../../2/secret",
            "..%2F2%2Fsecret",
            "%2e%2e/2/secret",
            "%252e%252E/2/secret",
            "..\\2\\secret",
            "a%5C..",
            "./x",
            "a%00b",
            "%2E",
        ];
        for text in hostile {
            assert_eq!(TenantObjectStore::path(text).unwrap_err().kind(), ErrorKind::InvalidName, "{text}");
            // The other ways to a path, which escape instead of refusing, are refused at the store.
            for path in [Path::from(text), Path::parse(text).unwrap_or(Path::from(text))] {
                let errors = [
                    store.get(&path).await.unwrap_err(),
                    store.put(&path, "x".into()).await.unwrap_err(),
                    store.put_multipart(&path).await.map(drop).unwrap_err(),
                    store.head(&path).await.unwrap_err(),
                    store.get_range(&path, 0..1).await.unwrap_err(),
                    store.get_ranges(&path, &[0..1, 1..2]).await.map(drop).unwrap_err(),
                    store.delete(&path).await.unwrap_err(),
                    store.copy(&path, &"x".into()).await.unwrap_err(),
                    store.copy(&"x".into(), &path).await.unwrap_err(),
                    store.rename(&"x".into(), &path).await.unwrap_err(),
                    store.list(Some(&path)).try_collect::<Vec<_>>().await.unwrap_err(),
                    store.list_with_offset(None, &path).try_collect::<Vec<_>>().await.unwrap_err(),
                    store.list_with_delimiter(Some(&path)).await.unwrap_err(),
                ];
                for error in errors {
                    assert_eq!(kind(&error), Some(ErrorKind::InvalidName), "{text} {path} {error}");
                }
            }
        }
        assert_eq!(names(&bucket, None).await, ["2/secret"]);
        assert_eq!(text(&bucket, "2/secret").await, "b's");
    }
    for text in ["", "/", "/x", "x/", "a//b"] {
        assert_eq!(TenantObjectStore::path(text).unwrap_err().kind(), ErrorKind::InvalidName, "{text:?}");
    }
}

#[tokio::test]
async fn ordinary_and_odd_names_are_let_through() {
    let directory = Directory::new("odd");
    let store = TenantObjectStore::new(directory.store(), &context("1"));
    for name in ["a", "...", "..a", "a..", "100% sure.txt", "b c/日本.pdf", "=h", "2/secret", "%41"] {
        let path = TenantObjectStore::path(name).unwrap();
        store.put(&path, name.to_owned().into()).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), name.as_bytes());
    }
    assert_eq!(names(&store, None).await.len(), 9);
}

/// A store that answers with another object, whatever is asked for: a proxy with a wrong cache, a wrong rewrite.
#[derive(Debug)]
struct Confused(InMemory, &'static str);

impl fmt::Display for Confused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confused")
    }
}

#[async_trait]
impl ObjectStore for Confused {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, _: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(&self.1.into(), options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(None)
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(None).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn an_answer_with_somebody_elses_object_is_refused() {
    // CACHE-07, for blobs. `10/` begins like `1`.
    let confused = Confused(InMemory::new(), "10/secret");
    confused.put(&"10/secret".into(), "b's".into()).await.unwrap();
    let store = TenantObjectStore::new(confused, &context("1"));
    let errors = [
        store.get(&"secret".into()).await.unwrap_err(),
        store.list(None).try_collect::<Vec<_>>().await.unwrap_err(),
        store.list_with_offset(None, &"a".into()).try_collect::<Vec<_>>().await.unwrap_err(),
        store.list_with_delimiter(None).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(kind(&error), Some(ErrorKind::ForeignValue));
        assert!(!error.to_string().contains("10") && !format!("{error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn an_answer_with_another_object_of_the_tenant_is_refused() {
    // CACHE-07: one tenant's users do not see the same things.
    let confused = Confused(InMemory::new(), "1/payroll");
    confused.put(&"1/payroll".into(), "secret".into()).await.unwrap();
    let store = TenantObjectStore::new(confused, &context("1"));
    assert_eq!(kind(&store.get(&"menu".into()).await.unwrap_err()), Some(ErrorKind::ForeignValue));
    assert_eq!(text(&store, "payroll").await, "secret");
}

#[cfg(feature = "object-store-cloud")]
#[tokio::test]
async fn a_signed_url_is_bound_to_the_tenants_own_object() {
    // OPS-15. Signing needs no network.
    use std::time::Duration;

    use object_store::signer::Signer;

    let store = TenantObjectStore::new(s3::store("http://nowhere", "uploads", s3::NoNetwork), &context("1"));
    let day = Duration::from_secs(86_400);
    let url = store.signed_url(http::Method::GET, &"uploads/a.pdf".into(), day).await.unwrap();
    assert!(url.path().ends_with("/1/uploads/a.pdf"), "{url}");
    let error = store.signed_url(http::Method::GET, &Path::from("../2/a.pdf"), day).await.unwrap_err();
    assert_eq!(kind(&error), Some(ErrorKind::InvalidName));
}

#[cfg(feature = "object-store-cloud")]
mod s3 {
    use http_body_util::BodyExt;
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector as Connector;
    use hyper_util::rt::TokioExecutor;
    use object_store::ClientOptions;
    use object_store::aws::{AmazonS3, AmazonS3Builder};
    use object_store::client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
        HttpService,
    };

    use super::*;

    pub(super) fn store(endpoint: &str, bucket: &str, network: impl HttpConnector) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_bucket_name(bucket)
            .with_region("eu-central-1")
            .with_access_key_id("id")
            .with_secret_access_key("secret")
            .with_http_connector(network)
            .build()
            .unwrap()
    }

    pub(super) async fn make_bucket(endpoint: &str, bucket: &str) {
        let request = http::Request::put(format!("{endpoint}/{bucket}"));
        let answer = Network::new().call(request.body(Vec::new().into()).unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Plain HTTP.
    #[derive(Clone, Debug)]
    pub(super) struct Network(Client<Connector, HttpRequestBody>);

    impl Network {
        pub(super) fn new() -> Self {
            Self(Client::builder(TokioExecutor::new()).build_http())
        }
    }

    impl HttpConnector for Network {
        fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
            Ok(HttpClient::new(self.clone()))
        }
    }

    #[async_trait]
    impl HttpService for Network {
        async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
            let failed = |error| HttpError::new(HttpErrorKind::Unknown, error);
            let (head, body) = self.0.request(request).await.map_err(failed)?.into_parts();
            let body = body.collect().await.map_err(|error| HttpError::new(HttpErrorKind::Decode, error))?;
            Ok(HttpResponse::from_parts(head, body.to_bytes().into()))
        }
    }

    #[derive(Debug)]
    pub(super) struct NoNetwork;

    impl HttpConnector for NoNetwork {
        fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
            Ok(HttpClient::new(Self))
        }
    }

    #[async_trait]
    impl HttpService for NoNetwork {
        async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            unreachable!("nothing is sent")
        }
    }
}
