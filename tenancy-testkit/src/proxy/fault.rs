//! What a proxy does at which message.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Door, Shared,
    frame::{Side, Tag},
};

/// What to do at a message, and at which.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenancy_testkit::proxy::{Fault, Side, Tag};
///
/// // Cut the connection instead of passing on the third message that the server sends from now on.
/// let cut = Fault::cut(Side::Server).at(3);
/// // Delay each row.
/// let slow = Fault::delay(Side::Server, Duration::from_millis(20)).on(Tag::DATA_ROW).each();
/// # let _ = (cut, slow);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    side: Side,
    tag: Option<Tag>,
    at: u64,
    each: bool,
    pub(crate) action: Action,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Hold,
    Cut,
    Reset,
    Delay(Duration),
}

impl Fault {
    /// Holds a message of `side` back, and what that side sends after it, until [`Armed::release`].
    pub fn hold(side: Side) -> Self {
        Self::new(side, Action::Hold)
    }

    /// Closes the connection instead of passing a message of `side` on.
    pub fn cut(side: Side) -> Self {
        Self::new(side, Action::Cut)
    }

    /// Resets the connection instead of passing a message of `side` on: both ends get an error, not an end.
    pub fn reset(side: Side) -> Self {
        Self::new(side, Action::Reset)
    }

    /// Passes a message of `side` on after `pause`.
    pub fn delay(side: Side, pause: Duration) -> Self {
        Self::new(side, Action::Delay(pause))
    }

    fn new(side: Side, action: Action) -> Self {
        Self { side, tag: None, at: 1, each: false, action }
    }

    /// Counts messages of this kind alone.
    pub fn on(mut self, tag: Tag) -> Self {
        self.tag = Some(tag);
        self
    }

    /// Acts at the `nth` message that counts, from 1; by default at the first.
    pub fn at(mut self, nth: u64) -> Self {
        self.at = nth.max(1);
        self
    }

    /// Acts also at each message that counts after the first on which it acts.
    pub fn each(mut self) -> Self {
        self.each = true;
        self
    }
}

/// A fault that was armed, and how often it counted.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) fault: Fault,
    counted: AtomicU64,
    acted: AtomicU64,
    met: Door,
    released: Door,
}

impl State {
    pub(crate) fn new(fault: Fault) -> Self {
        let (counted, acted) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { fault, counted, acted, met: Door::default(), released: Door::default() }
    }

    /// Counts a message; returns whether the fault acts on it.
    pub(crate) fn counts(&self, side: Side, tag: Tag) -> bool {
        let fault = &self.fault;
        if fault.side != side || fault.tag.is_some_and(|wanted| wanted != tag) {
            return false;
        }
        let nth = self.counted.fetch_add(1, Ordering::SeqCst) + 1;
        let due = nth == fault.at || (fault.each && nth > fault.at);
        if due {
            self.acted.fetch_add(1, Ordering::SeqCst);
        }
        due
    }

    pub(crate) fn meet(&self) {
        self.met.open();
    }

    pub(crate) fn release(&self) {
        self.released.open();
    }

    pub(crate) async fn released(&self) {
        self.released.opened().await;
    }
}

/// A fault while it is armed. Dropping it disarms it, and lets go what it holds.
pub struct Armed {
    state: Arc<State>,
    proxy: Weak<Shared>,
}

impl Armed {
    pub(crate) fn new(state: Arc<State>, proxy: Weak<Shared>) -> Self {
        Self { state, proxy }
    }

    /// Returns how often the fault acted.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.state.acted.load(Ordering::SeqCst)
    }

    /// Returns how many messages have counted since it was armed: with [`Fault::at`] beyond their number, a way to learn
    /// how many points there are.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.state.counted.load(Ordering::SeqCst)
    }

    /// Waits until the fault has acted; for a hold, the message is held then.
    pub async fn met(&self) {
        self.state.met.opened().await;
    }

    /// Lets go what is held, and holds nothing any more.
    pub fn release(&self) {
        self.state.release();
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        if let Some(proxy) = self.proxy.upgrade() {
            proxy.disarm(&self.state);
        }
        self.state.release();
    }
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed").field("fault", &self.state.fault).field("hits", &self.hits()).finish()
    }
}
