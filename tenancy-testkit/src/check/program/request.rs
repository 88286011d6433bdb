//! From a call to the bytes of a request.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::Value;

use super::Call;
use super::signal::{Expect, Fault, write};
use super::value::{Known, Seen, Used};
use crate::check::describe::operation::{Access, Place};
use crate::check::describe::{Credential, Service, World};

/// A request as it goes out.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) expect: Expect,
    pub(crate) used: Used,
}

impl Outgoing {
    pub(crate) fn request(&self) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        // A target is made of percent-encoded parts; what a description's path holds beside them is its author's.
        *request.uri_mut() = self.target.parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// All that the caller has said: what it says it may hear again.
    pub(crate) fn said(&self) -> Vec<u8> {
        let mut said = percent_decoded(&self.target).into_bytes();
        said.push(b' ');
        said.extend_from_slice(&self.body);
        said
    }
}

/// Builds the request of `call`, or `None` where the credential cannot be broken in this way.
///
/// `recorded` is what stood for others' values in the run that this one is compared with.
pub(crate) fn build(
    call: &Call,
    service: &Service,
    world: &World,
    seen: &[Seen],
    recorded: Option<&[Value]>,
) -> Option<Outgoing> {
    let operation = &service.operations[call.operation];
    let known = Known { world, caller: call.caller, seen, column: service.hooks.database.as_ref(), recorded };
    let (credential, mut expect) = credential(call, service, world)?;
    if operation.access == Access::Public {
        expect = Expect::CallerOrRefused;
    }
    let mut used = Used::default();
    let mut target = credential.prefix.clone().unwrap_or_default();
    let (mut path, mut query, mut headers) = (operation.path.clone(), Vec::new(), http::HeaderMap::new());
    for (param, slot) in operation.params.iter().zip(&call.params) {
        let Some(slot) = slot else { continue };
        let value = plain(&slot.resolve(&known, &mut used));
        match param.place {
            Place::Path => path = path_with(&path, &param.name, &value),
            Place::Query => query.push(format!("{}={}", encoded(&param.name), encoded(&value))),
            Place::Header => {
                let name = http::HeaderName::try_from(param.name.as_str());
                if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
                    headers.append(name, value);
                }
            }
        }
    }
    target.push_str(&path);
    query.extend(
        credential.query.as_ref().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))),
    );
    if !query.is_empty() {
        target.push('?');
        target.push_str(&query.join("&"));
    }
    write(&credential, &mut headers);
    let body = call.body.as_ref().map(|slot| slot.resolve(&known, &mut used).to_string());
    if body.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let body = Bytes::from(body.unwrap_or_default());
    Some(Outgoing { method: operation.method.clone(), target, headers, body, expect, used })
}

/// What may come of `call`'s credential; `None` where it cannot be broken in this way.
pub(crate) fn expectation(call: &Call, service: &Service, world: &World) -> Option<Expect> {
    credential(call, service, world).map(|(_, expect)| expect)
}

fn credential(call: &Call, service: &Service, world: &World) -> Option<(Credential, Expect)> {
    if call.signal.fault == Fault::Admin {
        return Some((service.admin.clone()?, Expect::Served));
    }
    let count = service.credentials.len().max(1);
    let (_, mint) = service.credentials.get(call.credential % count)?;
    let own = mint(&world.all()[call.caller])?;
    if call.signal.is_proper() {
        return Some((own, Expect::Served));
    }
    let all = |tenant: &_| {
        let minted = service.credentials.iter().filter_map(|(_, mint)| mint(tenant));
        minted.reduce(Credential::and)
    };
    // Where there are several ways to name a tenant, every second fault mixes all of them.
    let mut signal = call.signal;
    let mixes = count > 1 && signal.variety % 2 == 1;
    signal.variety /= if count > 1 { 2 } else { 1 };
    let (own, other) = match mixes {
        false => (own, mint(&world.all()[signal.other])?),
        true => (all(&world.all()[call.caller])?, all(&world.all()[signal.other])?),
    };
    let stranger = mint(&world.stranger());
    signal.apply(&own, &other, stranger.as_ref())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn path_with(path: &str, name: &str, value: &str) -> String {
    let value = encoded(value);
    path.replace(&format!("{{{name}}}"), &value).replace(&format!("{{*{name}}}"), &value)
}

/// Percent-encodes all but letters, digits and what RFC 3986 calls unreserved.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The text with `%41` read as `A`; what is not an encoding stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_back() {
        for text in ["", "a b", "50%", "ü/x:1", "%", "%zz"] {
            assert_eq!(percent_decoded(&encoded(text)), text);
        }
        assert_eq!(percent_decoded("100%"), "100%");
    }
}
