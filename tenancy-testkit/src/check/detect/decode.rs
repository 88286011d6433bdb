//! The bytes that a client reads: what a content encoding hid is looked at in the open.

use std::io::Read;

use bytes::Bytes;
use http::{HeaderMap, header};

/// More than this of an answer is not unpacked: a small answer can unpack to any size.
const MOST: u64 = 16 << 20;

pub(crate) fn decoded(headers: &HeaderMap, body: Bytes) -> Bytes {
    let encodings =
        headers.get_all(header::CONTENT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let encodings: Vec<String> =
        encodings.flat_map(|list| list.split(',')).map(|one| one.trim().to_ascii_lowercase()).collect();
    // Applied in the order in which they are listed, so undone from the end.
    encodings.iter().rev().fold(body, |body, encoding| undone(encoding, &body).unwrap_or(body))
}

fn undone(encoding: &str, body: &[u8]) -> Option<Bytes> {
    let mut out = Vec::new();
    let read = match encoding {
        "gzip" | "x-gzip" => flate2::read::MultiGzDecoder::new(body).take(MOST).read_to_end(&mut out),
        "deflate" => flate2::read::ZlibDecoder::new(body).take(MOST).read_to_end(&mut out),
        "br" => brotli_decompressor::Decompressor::new(body, 4096).take(MOST).read_to_end(&mut out),
        _ => return None,
    };
    // What was read before an error is an answer's beginning, and may hold a canary.
    (read.is_ok() || !out.is_empty()).then(|| Bytes::from(out))
}
