//! [`TenantStream`]: rows of one tenant, as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use pin_project_lite::pin_project;
use sea_orm::{DbErr, QueryResult};

use crate::scrub::scrub;

pin_project! {
    /// A stream of rows whose errors carry no values.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless they are polled"]
    pub struct TenantStream<S> {
        #[pin]
        inner: S,
    }
}

impl<S> TenantStream<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Stream<Item = Result<QueryResult, DbErr>>> Stream for TenantStream<S> {
    type Item = Result<QueryResult, DbErr>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().inner.poll_next(cx).map(|row| row.map(|row| row.map_err(scrub)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
