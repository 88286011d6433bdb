//! What stands behind a pointer because few requests come to it.

/// Dropped out of line, so that what drops every request and every answer stays short.
pub(super) struct Rare<T>(pub(super) T);

impl<T> Drop for Rare<T> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {}
}
