//! HTTP/2, frame by frame (RFC 9113), with fields as plain literals (RFC 7541): so that a request can say what no
//! library would let it say.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Answer, connect};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const STREAM: u32 = 1;

/// Sends a request without a body on a connection of its own. `None`: the server refused the stream or the connection.
///
/// Of the answer's headers only the status is read.
pub(crate) async fn send(from: Ipv4Addr, to: SocketAddr, fields: &[(Vec<u8>, Vec<u8>)]) -> Option<Answer> {
    let mut stream = connect(from, to).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    frame(&mut bytes, HEADERS, END_STREAM | END_HEADERS, STREAM, &block);
    stream.write_all(&bytes).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), read(&mut stream)).await.expect("an answer in time")
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap();
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A literal field without indexing, with a new name (RFC 7541, section 6.2.2), without Huffman coding.
fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        length(&mut out, text.len());
        out.extend_from_slice(text);
    }
    out
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(out: &mut Vec<u8>, length: usize) {
    if length < 127 {
        out.push(length as u8);
        return;
    }
    out.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

async fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut answer = Answer::default();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        match kind {
            SETTINGS if flags & ACK == 0 => {
                let mut ack = Vec::new();
                frame(&mut ack, SETTINGS, ACK, 0, &[]);
                stream.write_all(&ack).await.ok()?;
            }
            HEADERS => answer.status = status(&payload),
            DATA => answer.body.extend_from_slice(&payload),
            RST_STREAM | GOAWAY => return None,
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            return Some(answer);
        }
    }
}

/// Reads `:status`, which is the first field: indexed, or a literal with an indexed name (RFC 7541, appendix A).
fn status(block: &[u8]) -> u16 {
    // A change of the dynamic table's size may come before it.
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        // Incremental indexing, name 8 of the static table.
        0x48 => digits(block[1], &block[2..]),
        other => panic!("no status begins with {other:#x}"),
    }
}

fn digits(length: u8, text: &[u8]) -> u16 {
    let huffman = length & 0x80 != 0;
    let text = &text[..usize::from(length & 0x7f)];
    if !huffman {
        return std::str::from_utf8(text).unwrap().parse().unwrap();
    }
    // 0, 1 and 2 have five bits, 3 to 9 have six (RFC 7541, appendix B).
    let bits = text.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (32 - 8 * text.len());
    let (mut number, mut at) = (0, 0);
    for _ in 0..3 {
        let five = bits << at >> 27;
        let (digit, width) = if five < 3 { (five, 5) } else { ((bits << at >> 26) - 0x19 + 3, 6) };
        number = number * 10 + digit as u16;
        at += width;
    }
    number
}
