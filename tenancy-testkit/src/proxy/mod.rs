//! A proxy that speaks PostgreSQL's wire protocol, and holds, delays, cuts or resets it at a chosen message.
//!
//! A client connects to [`PgProxy::url`] instead of the server. The proxy reads the messages of both directions one by
//! one and passes them on unchanged, until a [`Fault`] that was armed says otherwise:
//!
//! ```no_run
//! # async fn example(database_url: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use tenancy_testkit::proxy::{Fault, PgProxy, Side, Tag};
//!
//! let proxy = PgProxy::start(database_url).await?;
//! let pool = sqlx::PgPool::connect(&proxy.url(database_url)?).await?;
//!
//! // Hold the server's next "ready for query": the statement is done, and its client does not know it.
//! let fault = proxy.arm(Fault::hold(Side::Server).on(Tag::READY_FOR_QUERY));
//! let statement = sqlx::query("DELETE FROM orders").execute(&pool);
//! tokio::select! {
//!     _ = statement => unreachable!("its answer is held"),
//!     () = fault.met() => {} // the statement's future is dropped here
//! }
//! fault.release();
//! # Ok(())
//! # }
//! ```
//!
//! The format of messages is that of version 3 of the protocol (PostgreSQL documentation, "Message Formats"). A request
//! for encryption is answered with "no" by the proxy, since it could not read on: a client that insists on TLS is
//! refused.

mod fault;
mod frame;
mod link;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};
use url::Url;

use self::{fault::State, link::Ending};
pub use self::{
    fault::{Armed, Fault},
    frame::{Side, Tag},
};
use crate::error::Error;

/// A proxy before one PostgreSQL server; it ends with this value, and its connections with it.
pub struct PgProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the connections of a proxy share.
pub(crate) struct Shared {
    server: (String, u16),
    faults: Mutex<Vec<Arc<State>>>,
    seen: Mutex<BTreeMap<(Side, Tag), u64>>,
    /// Counts up; each connection ends as the last value says.
    end: watch::Sender<(u64, Ending)>,
    links: watch::Sender<usize>,
}

impl PgProxy {
    /// Starts a proxy on a free port of the loopback interface, before the server of `url`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if `url` is not the URL of a server with a host,
    /// [`ErrorKind::State`](crate::ErrorKind::State) if there is no port.
    pub async fn start(url: &str) -> Result<Self, Error> {
        let no_port = |error| Error::state("the proxy has no port to listen on", error);
        let url = parse(url)?;
        let host = url.host_str().ok_or_else(|| Error::configuration("the URL has no host"))?.to_owned();
        let shared = Arc::new(Shared {
            server: (host, url.port().unwrap_or(5432)),
            faults: Mutex::default(),
            seen: Mutex::default(),
            end: watch::Sender::new((0, Ending::Cut)),
            links: watch::Sender::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(no_port)?;
        let address = listener.local_addr().map_err(no_port)?;
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Returns `url` with the proxy in the server's place.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if it is not a URL.
    pub fn url(&self, url: &str) -> Result<String, Error> {
        let mut url = parse(url)?;
        url.set_ip_host(self.address.ip())
            .and_then(|()| url.set_port(Some(self.address.port())))
            .map_err(|()| Error::configuration("the URL has no host"))?;
        Ok(url.into())
    }

    /// Arms a fault. It counts messages of all connections from now on, and is disarmed with the value returned.
    pub fn arm(&self, fault: Fault) -> Armed {
        let state = Arc::new(State::new(fault));
        self.faults().push(Arc::clone(&state));
        Armed::new(state, Arc::downgrade(&self.shared))
    }

    /// Returns how many messages of each kind came from `side` so far.
    #[must_use]
    pub fn seen(&self, side: Side) -> BTreeMap<Tag, u64> {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|((from, _), _)| *from == side).map(|((_, tag), count)| (*tag, *count)).collect()
    }

    /// Returns how many connections go through the proxy now.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.shared.links.borrow()
    }

    /// Closes every connection, in both directions.
    pub fn cut_all(&self) {
        self.shared.end_all(Ending::Cut);
    }

    /// Resets every connection: each end is told that the other one is gone, in the middle of whatever it does.
    pub fn reset_all(&self) {
        self.shared.end_all(Ending::Reset);
    }

    fn faults(&self) -> std::sync::MutexGuard<'_, Vec<Arc<State>>> {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PgProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut_all();
        // What is held would never end by itself.
        self.faults().iter().for_each(|fault| fault.release());
    }
}

impl fmt::Debug for PgProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    fn end_all(&self, how: Ending) {
        self.end.send_modify(|(count, ending)| (*count, *ending) = (*count + 1, how));
    }

    /// Counts a message, and returns the fault whose turn it is.
    fn meet(&self, side: Side, tag: Tag) -> Option<Arc<State>> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner).entry((side, tag)).or_default() += 1;
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        // Each one counts every message, also one that another fault acts on.
        let mut due: Vec<_> = faults.iter().filter(|fault| fault.counts(side, tag)).collect();
        due.drain(..).next().map(Arc::clone)
    }

    fn disarm(&self, state: &Arc<State>) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|armed| !Arc::ptr_eq(armed, state));
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(link::run(client, Arc::clone(&shared)))),
            // Out of descriptors, or the client is gone again: the next one may fare better.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

fn parse(url: &str) -> Result<Url, Error> {
    url.parse().map_err(|_| Error::configuration("the PostgreSQL URL is not a URL"))
}

/// A door that is opened once.
#[derive(Debug, Default)]
pub(crate) struct Door {
    open: std::sync::atomic::AtomicBool,
    notify: Notify,
}

impl Door {
    pub(crate) fn open(&self) {
        self.open.store(true, std::sync::atomic::Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    pub(crate) async fn opened(&self) {
        loop {
            let notified = self.notify.notified();
            if self.open.load(std::sync::atomic::Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }
}
