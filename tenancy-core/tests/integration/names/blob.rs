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

/// A store that answers with objects of others: a proxy with a wrong cache, a wrong rewrite.
#[derive(Debug)]
struct Confused(InMemory);

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
        self.0.get_opts(&"10/secret".into(), options).await
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
    let confused = Confused(InMemory::new());
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

#[cfg(feature = "object-store-cloud")]
#[tokio::test]
async fn a_signed_url_is_bound_to_the_tenants_own_object() {
    // OPS-15. Signing needs no network.
    use std::time::Duration;

    use object_store::aws::AmazonS3Builder;
    use object_store::signer::Signer;

    let s3 = AmazonS3Builder::new()
        .with_bucket_name("uploads")
        .with_region("eu-central-1")
        .with_access_key_id("id")
        .with_secret_access_key("secret")
        .with_http_connector(NoNetwork)
        .build()
        .unwrap();
    let store = TenantObjectStore::new(s3, &context("1"));
    let day = Duration::from_secs(86_400);
    let url = store.signed_url(http::Method::GET, &"uploads/a.pdf".into(), day).await.unwrap();
    assert!(url.path().ends_with("/1/uploads/a.pdf"), "{url}");
    let error = store.signed_url(http::Method::GET, &Path::from("../2/a.pdf"), day).await.unwrap_err();
    assert_eq!(kind(&error), Some(ErrorKind::InvalidName));

    #[derive(Debug)]
    struct NoNetwork;

    impl object_store::client::HttpConnector for NoNetwork {
        fn connect(&self, _: &object_store::ClientOptions) -> Result<object_store::client::HttpClient> {
            Ok(object_store::client::HttpClient::new(NoNetwork))
        }
    }

    #[async_trait]
    impl object_store::client::HttpService for NoNetwork {
        async fn call(
            &self,
            _: object_store::client::HttpRequest,
        ) -> Result<object_store::client::HttpResponse, object_store::client::HttpError> {
            unreachable!("nothing is sent")
        }
    }
}
