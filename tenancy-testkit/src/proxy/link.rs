//! One connection through the proxy.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::sleep,
};

use super::{
    Shared,
    fault::{Action, State},
    frame::{First, Frame, Side, first, next},
};

/// How a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// Each end is told that nothing follows.
    Cut,
    /// Each end is told that the connection is gone.
    Reset,
}

/// One more connection for as long as it lives.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(links: &'a watch::Sender<usize>) -> Self {
        links.send_modify(|links| *links += 1);
        Self(links)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|links| *links -= 1);
    }
}

/// Passes messages between a client and the server until either is gone or a fault ends it.
pub(crate) async fn run(mut client: TcpStream, shared: Arc<Shared>) {
    let _counted = Counted::new(&shared.links);
    let mut end = shared.end.subscribe();
    let (host, port) = &shared.server;
    let Ok(mut server) = TcpStream::connect((host.as_str(), *port)).await else { return };
    // A message must not wait for the next one.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ending = {
        let passed = pass(&mut client, &mut server, &shared);
        let ended = async {
            match end.changed().await {
                Ok(()) => end.borrow().1,
                Err(_) => Ending::Cut,
            }
        };
        either(passed, ended).await
    };
    if ending == Ending::Reset {
        // Closing then sends a reset instead of an end.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    } else {
        let _ = (client.shutdown().await, server.shutdown().await);
    }
}

async fn pass(client: &mut TcpStream, server: &mut TcpStream, shared: &Shared) -> Ending {
    let Ok(Some(start)) = greet(client).await else { return Ending::Cut };
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let up = Pump { side: Side::Client, shared, to: to_server };
    let down = Pump { side: Side::Server, shared, to: to_client };
    either(up.run(Some(start), from_client), down.run(None, from_server)).await
}

/// Reads what a client says until it logs in. It is told that there is no encryption.
async fn greet(client: &mut TcpStream) -> io::Result<Option<Frame>> {
    loop {
        match first(client).await? {
            Some(First::Encryption) => client.write_all(b"N").await?,
            Some(First::Start(frame)) => return Ok(Some(frame)),
            None => return Ok(None),
        }
    }
}

/// One direction of a connection.
struct Pump<'a> {
    side: Side,
    shared: &'a Shared,
    to: WriteHalf<'a>,
}

impl Pump<'_> {
    async fn run(mut self, start: Option<Frame>, from: ReadHalf<'_>) -> Ending {
        let mut from = BufReader::new(from);
        let mut frame = start;
        loop {
            let this = match frame.take() {
                Some(frame) => Ok(Some(frame)),
                None => next(&mut from).await,
            };
            let Ok(Some(this)) = this else { return Ending::Cut };
            if let Some(fault) = self.shared.meet(self.side, this.tag)
                && let Some(ending) = act(&fault).await
            {
                return ending;
            }
            if self.to.write_all(&this.bytes).await.is_err() {
                return Ending::Cut;
            }
        }
    }
}

async fn act(fault: &State) -> Option<Ending> {
    fault.meet();
    match fault.fault.action {
        Action::Hold => fault.released().await,
        Action::Delay(pause) => sleep(pause).await,
        Action::Cut => return Some(Ending::Cut),
        Action::Reset => return Some(Ending::Reset),
    }
    None
}

/// Runs both until one is done.
async fn either<T>(a: impl Future<Output = T>, b: impl Future<Output = T>) -> T {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|context| match a.as_mut().poll(context) {
        Poll::Pending => b.as_mut().poll(context),
        ready => ready,
    })
    .await
}
