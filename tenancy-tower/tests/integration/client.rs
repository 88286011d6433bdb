//! HTTP/1, byte by byte.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What came back for one request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Writes the answer as the tables do: a tenant and the path that its handler saw, or a status, with `!` where the
    /// server refused before the layer saw the request.
    pub(crate) fn outcome(&self) -> String {
        let text = self.text();
        match self.status {
            200 if text.is_empty() => "200".into(),
            200 => text.replacen(' ', ":", 1),
            308 => format!("308:{}", self.header("location").unwrap_or_default()),
            status if text.starts_with(r#"{"type":"about:blank""#) => status.to_string(),
            status => format!("{status}!"),
        }
    }
}

/// Connects from the address `from`, so that the server sees that one.
pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
    let stream = socket.connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `request` on a connection of its own. `None`: the server closed without a word.
pub(crate) async fn send(from: Ipv4Addr, to: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = connect(from, to).await;
    exchange(&mut stream, request).await
}

/// Sends `request` on `stream` and reads one answer.
pub(crate) async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Option<Answer> {
    stream.write_all(request).await.unwrap();
    let bodiless = request.starts_with(b"HEAD ");
    tokio::time::timeout(Duration::from_secs(20), read_answer(stream, bodiless))
        .await
        .expect("an answer in time")
}

/// Reads one answer and not a byte more, so that the connection can be used again.
pub(crate) async fn read_answer(stream: &mut TcpStream, bodiless: bool) -> Option<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return None,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    if bodiless {
        return Some(answer);
    }
    if answer.header("transfer-encoding").is_some() {
        read_chunks(stream, &mut answer.body).await?;
    } else if let Some(length) = answer.header("content-length") {
        answer.body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut answer.body).await.ok()?;
    }
    Some(answer)
}

async fn read_chunks(stream: &mut TcpStream, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.ok()?);
        }
        let size = std::str::from_utf8(&line).unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await.ok()?;
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Some(());
        }
    }
}
