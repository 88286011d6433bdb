//! An object store that sees one tenant's objects.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::{Path, PathPart};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use percent_encoding::percent_decode;

use super::segment;
use crate::{Error, ErrorKind, TenantContext};

/// An object store that is confined to one tenant: every path is below `{tenant}/`, and none leads out.
///
/// It is an [`ObjectStore`] itself, so that code which takes one does not know the difference: `uploads/a.pdf` is stored
/// as `{tenant}/uploads/a.pdf`, and listed as `uploads/a.pdf`. Copies and renames stay within the tenant.
///
/// # What is refused
///
/// A path with a segment that is empty, `.` or `..`, or becomes one when it is percent-decoded once or more, or then holds
/// a slash, backslash or control character (OPS-15). An answer of the inner store that is not below the tenant's prefix
/// is refused too, rather than handed on. The error's source is an [`Error`] of kind [`ErrorKind::InvalidName`] or
/// [`ErrorKind::ForeignValue`].
///
/// # The prefix
///
/// It is the tenant's id; upper-case letters are written `=XX`, so that two ids stay apart on a disk that does not tell
/// case. Ids that would take more than 200 bytes are hashed. On a local disk, whoever can make symbolic links below the
/// root can lead out of it; this store cannot make any.
///
/// # Examples
///
/// ```
/// use object_store::ObjectStoreExt;
/// use object_store::memory::InMemory;
/// use std::sync::Arc;
/// use tenancy_core::{Tenant, TenantContext, TenantId, TenantObjectStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// # let context = TenantContext::assertion(acme, "example")?;
/// let bucket = Arc::new(InMemory::new());
/// let store = TenantObjectStore::new(bucket.clone(), &context);
///
/// let path = TenantObjectStore::path("uploads/report.pdf")?;
/// store.put(&path, "content".into()).await?;
/// assert!(bucket.head(&"1/uploads/report.pdf".into()).await.is_ok());
/// assert!(TenantObjectStore::path("../2/uploads/report.pdf").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TenantObjectStore<S = ()> {
    inner: S,
    prefix: Path,
}

impl TenantObjectStore {
    /// Reads a path within a tenant's store, as a user or a request gives it.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidName`] if the path is empty, begins or ends with a slash, or has a segment that the store
    /// refuses.
    pub fn path(text: &str) -> Result<Path, Error> {
        let path = Path::parse(text).map_err(|_| refused())?;
        if text.starts_with('/') || text.ends_with('/') || path.as_ref().is_empty() {
            return Err(refused());
        }
        check(&path)?;
        Ok(path)
    }
}

impl<S> TenantObjectStore<S> {
    /// Returns the part of `inner` that belongs to `context`'s tenant.
    #[must_use]
    pub fn new(inner: S, context: &TenantContext) -> Self {
        Self { inner, prefix: Path::from_iter([segment::of(context.id())]) }
    }

    fn confine(&self, location: &Path) -> Result<Path> {
        confine(&self.prefix, location)
    }

    fn release(&self, location: &Path) -> Result<Path> {
        release(&self.prefix, location)
    }
}

/// Returns where the tenant's `location` is in the inner store.
fn confine(prefix: &Path, location: &Path) -> Result<Path> {
    check(location).map_err(store_error)?;
    Ok(prefix.parts().chain(location.parts()).collect())
}

/// Returns what the tenant calls the inner store's `location`.
fn release(prefix: &Path, location: &Path) -> Result<Path> {
    match location.prefix_match(prefix) {
        Some(rest) => Ok(rest.collect()),
        None => {
            let reason = "the object store answered with an object of somebody else";
            Err(store_error(Error::new(ErrorKind::ForeignValue, reason)))
        }
    }
}

fn release_meta(prefix: &Path, meta: ObjectMeta) -> Result<ObjectMeta> {
    Ok(ObjectMeta { location: release(prefix, &meta.location)?, ..meta })
}

fn check(location: &Path) -> Result<(), Error> {
    match location.parts().all(|part| is_plain(&part)) {
        true => Ok(()),
        false => Err(refused()),
    }
}

/// Returns whether `part` is one segment and stays one, however often somebody behind us decodes it.
fn is_plain(part: &PathPart<'_>) -> bool {
    let mut text = part.as_ref().as_bytes().to_vec();
    loop {
        let dots = matches!(text.as_slice(), b"" | b"." | b"..");
        if dots || text.iter().any(|byte| matches!(byte, b'/' | b'\\') || byte.is_ascii_control()) {
            return false;
        }
        let decoded: Vec<u8> = percent_decode(&text).collect();
        if decoded == text {
            return true;
        }
        text = decoded;
    }
}

fn refused() -> Error {
    Error::new(ErrorKind::InvalidName, "the path does not stay below the tenant's prefix")
}

fn store_error(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: "tenant", source: Box::new(error) }
}

impl<S: fmt::Display> fmt::Display for TenantObjectStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantObjectStore({})", self.inner)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for TenantObjectStore<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(&self.confine(location)?, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(&self.confine(location)?, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.inner.get_opts(&self.confine(location)?, options).await?;
        result.meta = release_meta(&self.prefix, result.meta)?;
        match result.meta.location == *location {
            true => Ok(result),
            false => {
                let reason = "the object store answered with another object";
                Err(store_error(Error::new(ErrorKind::ForeignValue, reason)))
            }
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(&self.confine(location)?, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inward, outward) = (self.prefix.clone(), self.prefix.clone());
        let locations = locations.map(move |location| confine(&inward, &location?)).boxed();
        self.inner.delete_stream(locations).map(move |location| release(&outward, &location?)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let own = self.prefix.clone();
        match self.confine(prefix.unwrap_or(&Path::ROOT)) {
            Ok(prefix) => self.inner.list(Some(&prefix)).map(move |meta| release_meta(&own, meta?)).boxed(),
            Err(error) => fail(error),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let own = self.prefix.clone();
        match (self.confine(prefix.unwrap_or(&Path::ROOT)), self.confine(offset)) {
            (Ok(prefix), Ok(offset)) => {
                let listed = self.inner.list_with_offset(Some(&prefix), &offset);
                listed.map(move |meta| release_meta(&own, meta?)).boxed()
            }
            (Err(error), _) | (_, Err(error)) => fail(error),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = self.confine(prefix.unwrap_or(&Path::ROOT))?;
        let ListResult { common_prefixes, objects, extensions } =
            self.inner.list_with_delimiter(Some(&prefix)).await?;
        let common_prefixes =
            common_prefixes.iter().map(|prefix| self.release(prefix)).collect::<Result<_>>()?;
        let objects =
            objects.into_iter().map(|meta| release_meta(&self.prefix, meta)).collect::<Result<_>>()?;
        Ok(ListResult { common_prefixes, objects, extensions })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(&self.confine(from)?, &self.confine(to)?, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(&self.confine(from)?, &self.confine(to)?, options).await
    }
}

fn fail<T: Send + 'static>(error: object_store::Error) -> BoxStream<'static, Result<T>> {
    futures_util::stream::once(std::future::ready(Err(error))).boxed()
}

#[cfg(feature = "object-store-cloud")]
mod signed {
    use std::time::Duration;

    use http::Method;
    use object_store::signer::{SignedUrlOptions, Signer};
    use url::Url;

    use super::*;

    /// A signed URL is bound to the tenant's own object: the path that is signed is below the tenant's prefix (OPS-15).
    #[async_trait]
    impl<S: Signer> Signer for TenantObjectStore<S> {
        async fn signed_url(&self, method: Method, path: &Path, expires_in: Duration) -> Result<Url> {
            self.inner.signed_url(method, &self.confine(path)?, expires_in).await
        }

        async fn signed_url_opts(
            &self,
            method: Method,
            path: &Path,
            expires_in: Duration,
            options: &SignedUrlOptions,
        ) -> Result<Url> {
            self.inner.signed_url_opts(method, &self.confine(path)?, expires_in, options).await
        }
    }
}
