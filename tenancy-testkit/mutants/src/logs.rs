//! [`Logs`]: what the service logs, kept for whoever looks.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;

use crate::app::lock;

/// The log of one application, although many run in one process.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    lines: Lines,
    pub(crate) dispatch: Dispatch,
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Default for Logs {
    fn default() -> Self {
        let lines = Lines::default();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(lines.clone()).finish();
        Self { lines, dispatch: Dispatch::new(subscriber) }
    }
}

impl Logs {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.lines.0)).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
