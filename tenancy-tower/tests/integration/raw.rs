//! Tables of requests, as bytes, with the tenant or the refusal that each must get.
//!
//! The tables are in `raw/`. Expectations stand there in full; nothing here computes one.

use std::net::Ipv4Addr;

use crate::world::{DIRECT, PROXY, Servers};
use crate::{client, h2};

/// Where a row stands, for a failure that can be found.
struct Row {
    at: String,
    setup: String,
    from: Ipv4Addr,
    expected: String,
    request: Request,
}

enum Request {
    Http1(Vec<u8>),
    Http2(Vec<(Vec<u8>, Vec<u8>)>),
}

/// Undoes `\r`, `\n`, `\t`, `\\` and `\xNN`.
fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (byte, used) = match tail {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', high, low, ..] => {
                let digits = [*high, *low];
                (u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap(), 3)
            }
            _ => panic!("no such escape in {text}"),
        };
        out.push(byte);
        rest = &tail[used..];
    }
    out
}

/// The lines of a table that hold a row, split at ` | `, with repetition `{a*63}` written out.
fn cells(table: &str) -> impl Iterator<Item = (usize, Vec<String>)> {
    let lines =
        table.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(at, line)| {
        let line = with_tokens(line);
        let cells =
            line.split('|').map(|cell| repeat(cell.strip_prefix(' ').unwrap_or(cell).trim_end_matches(' ')));
        (at + 1, cells.collect())
    })
}

/// Writes the tokens of `tokens.txt` out where `<name>` stands for one.
fn with_tokens(line: &str) -> String {
    let tokens = include_str!("raw/tokens.txt").lines().filter(|line| !line.starts_with('#'));
    let tokens = tokens.map(|line| line.split_once(" = ").unwrap());
    tokens.fold(line.to_owned(), |line, (name, token)| line.replace(&format!("<{name}>"), token))
}

fn repeat(cell: &str) -> String {
    let Some((before, rest)) = cell.split_once('{') else { return cell.to_owned() };
    let (inside, after) = rest.split_once('}').unwrap();
    let (text, times) = inside.rsplit_once('*').unwrap();
    format!("{before}{}{}", text.repeat(times.parse().unwrap()), repeat(after))
}

fn place(setup: &str) -> (String, Ipv4Addr) {
    match setup.trim().split_once('@') {
        None => (setup.trim().into(), DIRECT),
        Some((setup, "proxy")) => (setup.into(), PROXY),
        Some((_, other)) => panic!("no peer is called {other}"),
    }
}

/// `setup | expected | request line | header | …`
fn http1_rows() -> Vec<Row> {
    let rows = cells(include_str!("raw/http1.txt")).map(|(at, cells)| {
        let (setup, from) = place(&cells[0]);
        let mut bytes = Vec::new();
        for line in &cells[2..] {
            bytes.extend(unescape(line));
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"\r\n");
        Row {
            at: format!("http1.txt:{at}"),
            setup,
            from,
            expected: cells[1].trim().into(),
            request: Request::Http1(bytes),
        }
    });
    rows.collect()
}

/// `setup | expected | :method: GET | name: value | …`
fn http2_rows() -> Vec<Row> {
    let rows = cells(include_str!("raw/http2.txt")).map(|(at, cells)| {
        let (setup, from) = place(&cells[0]);
        let fields = cells[2..].iter().map(|cell| {
            let (name, value) =
                cell.split_once(": ").or_else(|| Some((cell.strip_suffix(':')?, ""))).unwrap();
            (unescape(name), unescape(value))
        });
        Row {
            at: format!("http2.txt:{at}"),
            setup,
            from,
            expected: cells[1].trim().into(),
            request: Request::Http2(fields.collect()),
        }
    });
    rows.collect()
}

/// `host | sub | dom | both | absolute-form | :authority`: one host, sent in five ways.
fn host_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, cells) in cells(include_str!("raw/hosts.txt")) {
        let host = unescape(&cells[0]);
        let host_line =
            |target: &[u8]| [b"GET ", target, b" HTTP/1.1\r\nHost: ", &host, b"\r\n\r\n"].concat();
        let by_authority =
            [(":method", &b"GET"[..]), (":scheme", b"http"), (":path", b"/x"), (":authority", &host)];
        let absolute = [b"http://", &*host, b"/x"].concat();
        let ways = [
            ("sub", Request::Http1(host_line(b"/x"))),
            ("dom", Request::Http1(host_line(b"/x"))),
            ("both", Request::Http1(host_line(b"/x"))),
            ("both", Request::Http1(host_line(&absolute))),
            (
                "both",
                Request::Http2(by_authority.map(|(name, value)| (name.into(), value.to_vec())).to_vec()),
            ),
        ];
        assert_eq!(cells.len(), 1 + ways.len(), "hosts.txt:{at}");
        for (way, (setup, request)) in ways.into_iter().enumerate() {
            rows.push(Row {
                at: format!("hosts.txt:{at}, column {}", way + 1),
                setup: setup.into(),
                from: DIRECT,
                expected: cells[1 + way].trim().into(),
                request,
            });
        }
    }
    rows
}

async fn outcome(servers: &mut Servers, row: &Row) -> String {
    let to = servers.address(&row.setup).await;
    let (answer, refused) = match &row.request {
        Request::Http1(bytes) => (client::send(row.from, to, bytes).await, "closed"),
        Request::Http2(fields) => (h2::send(row.from, to, fields).await, "reset"),
    };
    answer.map_or_else(|| refused.into(), |answer| answer.outcome())
}

/// A tenant is expected with or without the path that its handler saw, a redirect with or without its target.
fn as_expected(expected: &str, found: &str) -> bool {
    found == expected || (!expected.contains(':') && found.split(':').next() == Some(expected))
}

async fn check(rows: Vec<Row>) {
    let mut servers = Servers::default();
    let mut wrong = Vec::new();
    for row in &rows {
        let found = outcome(&mut servers, row).await;
        if !as_expected(&row.expected, &found) {
            wrong.push(format!("{} ({}): expected {}, found {found}", row.at, row.setup, row.expected));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

fn count(rows: &[Row], http2: bool) -> usize {
    rows.iter().filter(|row| matches!(row.request, Request::Http2(_)) == http2).count()
}

#[tokio::test]
async fn every_form_of_a_host_names_its_tenant_or_is_refused() {
    check(host_rows()).await;
}

#[tokio::test]
async fn every_http1_request_gets_its_tenant_or_its_refusal() {
    check(http1_rows()).await;
}

#[tokio::test]
async fn every_http2_request_gets_its_tenant_or_its_refusal() {
    check(http2_rows()).await;
}

#[test]
fn the_tables_are_as_large_as_they_should_be() {
    let all: Vec<Row> = [host_rows(), http1_rows(), http2_rows()].into_iter().flatten().collect();
    let (http1, http2) = (count(&all, false), count(&all, true));
    println!("{http1} HTTP/1 requests, {http2} HTTP/2 requests");
    assert!(http1 >= 400, "{http1}");
    assert!(http2 >= 80, "{http2}");
}
