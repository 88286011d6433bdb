//! Messages of the protocol, as far as one has to know them to find where each ends.

use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Who sent a message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// The kind of a message: its first byte. One byte means different things from the two sides.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(pub u8);

impl Tag {
    /// From the client, without a byte of its own: the first message of a connection, or a request to cancel.
    pub const STARTUP: Self = Self(0);
    /// From the client: a statement in the simple protocol.
    pub const QUERY: Self = Self(b'Q');
    /// From the client: prepare a statement.
    pub const PARSE: Self = Self(b'P');
    /// From the client: bind values to a prepared statement.
    pub const BIND: Self = Self(b'B');
    /// From the client: run what was bound.
    pub const EXECUTE: Self = Self(b'E');
    /// From the client: end of a group of messages; the server answers with [`Tag::READY_FOR_QUERY`].
    pub const SYNC: Self = Self(b'S');
    /// From the client: it takes leave.
    pub const TERMINATE: Self = Self(b'X');
    /// From the server: something about logging in.
    pub const AUTHENTICATION: Self = Self(b'R');
    /// From the server: a statement is prepared.
    pub const PARSE_COMPLETE: Self = Self(b'1');
    /// From the server: values are bound.
    pub const BIND_COMPLETE: Self = Self(b'2');
    /// From the server: the columns of the rows that follow.
    pub const ROW_DESCRIPTION: Self = Self(b'T');
    /// From the server: one row.
    pub const DATA_ROW: Self = Self(b'D');
    /// From the server: a statement is done, and how many rows it met.
    pub const COMMAND_COMPLETE: Self = Self(b'C');
    /// From the server: an error.
    pub const ERROR: Self = Self(b'E');
    /// From the server: it waits for the next statement, and says whether a transaction is open.
    pub const READY_FOR_QUERY: Self = Self(b'Z');
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("startup"),
            byte => write!(f, "{:?}", char::from(byte)),
        }
    }
}

/// One message with its length, as it is passed on.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) tag: Tag,
    pub(crate) bytes: Vec<u8>,
}

/// What a client says first.
#[derive(Debug)]
pub(crate) enum First {
    /// It asks for encryption, and says more after the answer.
    Encryption,
    /// It logs in, or cancels what another connection does.
    Start(Frame),
}

/// PostgreSQL's own bound on a message.
const LONGEST: usize = 0x3fff_ffff;

/// Codes in the place of a version: encryption by TLS, and by GSSAPI.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

/// Reads the first message of a client, which has no tag; `None` if there is none.
pub(crate) async fn first(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<First>> {
    let Some(bytes) = rest(from, Vec::new()).await? else { return Ok(None) };
    let code = bytes.get(4..8).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
    if code.is_some_and(|code| ENCRYPTION.contains(&code)) {
        return Ok(Some(First::Encryption));
    }
    Ok(Some(First::Start(Frame { tag: Tag::STARTUP, bytes })))
}

/// Reads one message; `None` at the end of the stream, also in the middle of a message.
pub(crate) async fn next(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut tag = [0];
    if from.read(&mut tag).await? == 0 {
        return Ok(None);
    }
    let bytes = rest(from, tag.to_vec()).await?;
    Ok(bytes.map(|bytes| Frame { tag: Tag(tag[0]), bytes }))
}

/// Reads a length, which counts itself, and as many bytes; `head` stands before them.
async fn rest(from: &mut (impl AsyncRead + Unpin), head: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if !fill(from, &mut length).await? {
        return Ok(None);
    }
    let body = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if !(4..=LONGEST).contains(&body) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a message of the protocol"));
    }
    let mut bytes = head;
    bytes.extend(length);
    let start = bytes.len();
    bytes.resize(start + body - 4, 0);
    Ok(fill(from, &mut bytes[start..]).await?.then_some(bytes))
}

async fn fill(from: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(mut bytes: &[u8]) -> Vec<(u8, usize)> {
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = next(&mut bytes).await {
            frames.push((frame.tag.0, frame.bytes.len()));
        }
        frames
    }

    #[tokio::test]
    async fn messages_are_split_where_their_lengths_say() {
        assert_eq!(all(b"Z\0\0\0\x05IC\0\0\0\x04").await, [(b'Z', 6), (b'C', 5)]);
    }

    #[tokio::test]
    async fn half_a_message_is_passed_on_to_nobody() {
        assert_eq!(all(b"Z\0\0\0\x05IC\0\0\0\x09abc").await, [(b'Z', 6)]);
        assert_eq!(all(b"Z\0\0").await, []);
    }

    #[tokio::test]
    async fn what_is_not_the_protocol_is_an_error() {
        for bytes in [&b"HTTP/1.1 200 OK"[..], b"Z\0\0\0\x03", b"Z\xff\xff\xff\xff"] {
            assert!(next(&mut &*bytes).await.is_err(), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_request_for_encryption_is_told_from_a_login() {
        let ask = [&8_u32.to_be_bytes()[..], &80_877_103_u32.to_be_bytes()].concat();
        assert!(matches!(first(&mut &ask[..]).await, Ok(Some(First::Encryption))));
        let login = [&8_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes()].concat();
        assert!(
            matches!(first(&mut &login[..]).await, Ok(Some(First::Start(frame))) if frame.bytes.len() == 8)
        );
    }
}
