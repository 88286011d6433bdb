//! [`Signal`]: how a request names its tenant, rightly or wrongly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, header};

use crate::check::describe::Credential;

/// What is wrong with a request's credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// As the description mints it.
    None,
    /// Some of its parts alone.
    Part,
    /// The host in another spelling of the same name.
    Spelling,
    Missing,
    /// Of a tenant that does not exist.
    Stranger,
    /// A host that is no tenant's.
    UnknownHost,
    /// One part of it of another tenant.
    Conflict,
    /// A header twice, with two tenants.
    Duplicate,
    /// A header whose bytes are no text.
    Unreadable,
    /// `X-Forwarded-Host` and its like with another tenant's host.
    Spoofed,
    /// A token of one tenant's signature and another's claims.
    Tampered,
    /// No tenant, but an administrator.
    Admin,
}

/// What a service may do with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expect {
    /// It serves the caller.
    Served,
    /// It serves the caller, or refuses.
    CallerOrRefused,
    Refused,
}

/// A fault with its particulars.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    pub(crate) fault: Fault,
    /// The tenant that it is mixed with.
    pub(crate) other: usize,
    /// Which of the ways to do it: the numbers below [`Fault::ways`] are all of them.
    pub(crate) variety: u32,
}

/// Takes a number apart into choices, so that counting up goes through all combinations of them.
struct Choices(u32);

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        let end = u32::try_from(end.max(1)).unwrap_or(u32::MAX);
        let choice = self.0 % end;
        self.0 /= end;
        choice as usize
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 0
    }
}

impl Fault {
    /// How many numbers of a variety go through the ways to break a credential of three parts once.
    pub(crate) fn ways(self) -> u32 {
        match self {
            Self::None | Self::Missing | Self::Stranger | Self::Admin => 1,
            Self::Part => 3,
            Self::Spelling | Self::UnknownHost | Self::Tampered => 4,
            Self::Spoofed => 9,
            Self::Conflict => 18,
            Self::Duplicate | Self::Unreadable => 16,
        }
    }
}

/// The faults that a service has to refuse, or to see through.
pub(crate) const FAULTS: [Fault; 10] = [
    Fault::Missing,
    Fault::Conflict,
    Fault::Duplicate,
    Fault::Unreadable,
    Fault::Spoofed,
    Fault::UnknownHost,
    Fault::Stranger,
    Fault::Tampered,
    Fault::Spelling,
    Fault::Part,
];

impl Signal {
    pub(crate) const PROPER: Self = Self { fault: Fault::None, other: 0, variety: 0 };

    pub(crate) fn is_proper(&self) -> bool {
        self.fault == Fault::None
    }

    /// The credential that goes out, and what may come of it; `None` where there is nothing to be broken this way.
    pub(crate) fn apply(
        self,
        own: &Credential,
        other: &Credential,
        stranger: Option<&Credential>,
    ) -> Option<(Credential, Expect)> {
        let mut choices = Choices(self.variety);
        let choices = &mut choices;
        let refused = |credential| Some((credential, Expect::Refused));
        let lenient = |credential| Some((credential, Expect::CallerOrRefused));
        match self.fault {
            Fault::None | Fault::Admin => Some((own.clone(), Expect::Served)),
            Fault::Part => lenient(part(own, choices)?),
            Fault::Spelling => lenient(spelled(own, choices)?),
            Fault::Missing => refused(Credential::new()),
            Fault::Stranger => refused(stranger?.clone()),
            Fault::UnknownHost => unknown_host(own, choices),
            Fault::Conflict => refused(conflict(own, other, choices)?),
            Fault::Duplicate => refused(duplicate(own, other, choices)?),
            Fault::Unreadable => refused(unreadable(own, choices)?),
            Fault::Spoofed => spoofed(own, other, choices),
            Fault::Tampered => refused(tampered(own, other, choices)?),
        }
    }
}

/// Whose each part of a credential is.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Part {
    Own,
    Other,
    Absent,
}

fn parts(credential: &Credential) -> usize {
    let places = [credential.host.is_some(), credential.prefix.is_some(), credential.query.is_some()];
    credential.headers.len() + places.iter().filter(|there| **there).count()
}

/// Puts a credential together from two, part by part; the order is host, prefix, query, headers.
fn mixed(own: &Credential, other: &Credential, choice: &[Part]) -> Credential {
    let mut choice = choice.iter().copied();
    let mut take = |there: bool| if there { choice.next().unwrap_or(Part::Own) } else { Part::Absent };
    let mut mixed = Credential::new();
    for (part, source) in
        [(take(own.host.is_some()), 0), (take(own.prefix.is_some()), 1), (take(own.query.is_some()), 2)]
    {
        let from = match part {
            Part::Own => own,
            Part::Other => other,
            Part::Absent => continue,
        };
        match source {
            0 => mixed.host.clone_from(&from.host),
            1 => mixed.prefix.clone_from(&from.prefix),
            _ => mixed.query.clone_from(&from.query),
        }
    }
    for (i, own_header) in own.headers.iter().enumerate() {
        match take(true) {
            Part::Own => mixed.headers.push(own_header.clone()),
            Part::Other => mixed.headers.extend(other.headers.get(i).cloned()),
            Part::Absent => {}
        }
    }
    mixed
}

fn part(own: &Credential, choices: &mut Choices) -> Option<Credential> {
    let count = parts(own);
    let kept = choices.below(count.max(1));
    let choice: Vec<Part> = (0..count).map(|i| if i == kept { Part::Own } else { Part::Absent }).collect();
    (count > 1).then(|| mixed(own, own, &choice))
}

fn conflict(own: &Credential, other: &Credential, choices: &mut Choices) -> Option<Credential> {
    let count = parts(own);
    if count < 2 {
        return None;
    }
    // Both of them, at different places; what else there is is absent, or one's own, or the other's.
    let (first, second) = (choices.below(count), choices.below(count - 1));
    let rest = [Part::Own, Part::Absent, Part::Other][choices.below(3)];
    let mut choice = vec![rest; count];
    choice[first] = Part::Own;
    choice[(first + 1 + second) % count] = Part::Other;
    Some(mixed(own, other, &choice))
}

fn spelled(own: &Credential, choices: &mut Choices) -> Option<Credential> {
    let host = own.host.as_deref()?;
    let spelled = match choices.below(4) {
        0 => host.to_ascii_uppercase(),
        1 => format!("{host}."),
        2 => format!("{host}:80"),
        _ => format!("{}{}", host[..1].to_ascii_uppercase(), &host[1..]),
    };
    Some(Credential { host: Some(spelled), ..own.clone() })
}

fn unknown_host(own: &Credential, choices: &mut Choices) -> Option<(Credential, Expect)> {
    let host = own.host.as_deref()?;
    let label = host.split_once('.').map_or("", |(_, domain)| domain);
    let unknown =
        if choices.yes() { "unknown.invalid".to_owned() } else { format!("no-such-tenant.{label}") };
    let alone = Credential::new().with_host(unknown.clone());
    match choices.yes() {
        true => Some((alone, Expect::Refused)),
        // A token beside it may be enough for a service that does not read the host.
        false => Some((Credential { host: Some(unknown), ..own.clone() }, Expect::CallerOrRefused)),
    }
}

fn duplicate(own: &Credential, other: &Credential, choices: &mut Choices) -> Option<Credential> {
    let at = choices.below(own.headers.len().max(1));
    let (first, second) = (own.headers.get(at)?.clone(), other.headers.get(at)?.clone());
    let mut twice = if choices.yes() { own.clone() } else { Credential::new() };
    twice.headers.retain(|(name, _)| *name != first.0);
    if twice.host.is_none() && choices.yes() {
        twice.host.clone_from(&own.host);
    }
    let both = if choices.yes() { [first, second] } else { [second, first] };
    twice.headers.extend(both);
    Some(twice)
}

fn unreadable(own: &Credential, choices: &mut Choices) -> Option<Credential> {
    let at = choices.below(own.headers.len().max(1));
    let name = own.headers.get(at)?.0.clone();
    let mut broken =
        if choices.yes() { own.clone() } else { Credential { headers: Vec::new(), ..own.clone() } };
    if !choices.yes() {
        broken.host = None;
    }
    broken.headers.retain(|(other, _)| *other != name);
    let bytes: &[u8] = if choices.yes() { b"\xff\xfe" } else { b"acm\xc3\xa9" };
    broken.headers.push((name, HeaderValue::from_bytes(bytes).ok()?));
    Some(broken)
}

fn spoofed(own: &Credential, other: &Credential, choices: &mut Choices) -> Option<(Credential, Expect)> {
    let (host, spoofed) = (own.host.as_ref()?, other.host.as_ref()?);
    let (mut credential, expect) = match choices.below(3) {
        0 => (own.clone(), Expect::CallerOrRefused),
        1 => (Credential::new().with_host(host), Expect::CallerOrRefused),
        _ => (Credential::new(), Expect::Refused),
    };
    let (name, value) = match choices.below(3) {
        0 => (HeaderName::from_static("x-forwarded-host"), spoofed.clone()),
        1 => (HeaderName::from_static("forwarded"), format!("host={spoofed}")),
        _ => (HeaderName::from_static("x-original-host"), spoofed.clone()),
    };
    credential.headers.push((name, HeaderValue::from_str(&value).ok()?));
    Some((credential, expect))
}

/// Breaks a signed token: another tenant's claims under the caller's signature, or no signature at all.
fn tampered(own: &Credential, other: &Credential, choices: &mut Choices) -> Option<Credential> {
    let at = own.headers.iter().position(|(_, value)| token(value).is_some())?;
    let (scheme, mine) = token(&own.headers[at].1)?;
    let (_, theirs) = token(&other.headers.get(at)?.1)?;
    let mine: Vec<&str> = mine.split('.').collect();
    let theirs: Vec<&str> = theirs.split('.').collect();
    let forged = match choices.below(2) {
        0 => format!("{}.{}.{}", theirs[0], theirs[1], mine[2]),
        _ => format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#), theirs[1]),
    };
    // What else names a tenant agrees with the claims: the signature alone must decide.
    let mut broken = if choices.yes() { other.clone() } else { Credential::new() };
    let name = own.headers[at].0.clone();
    broken.headers.retain(|(other, _)| *other != name);
    broken.headers.push((name, HeaderValue::from_str(&format!("{scheme}{forged}")).ok()?));
    Some(broken)
}

/// The scheme and the token of a value that holds a signed token of three parts.
fn token(value: &HeaderValue) -> Option<(&str, &str)> {
    let text = value.to_str().ok()?;
    let start = text.rfind(' ').map_or(0, |space| space + 1);
    let (scheme, token) = text.split_at(start);
    (token.starts_with("ey") && token.split('.').count() == 3).then_some((scheme, token))
}

/// The host of a request that names none.
pub(crate) const NEUTRAL_HOST: &str = "localhost";

/// Writes a credential into a request's headers.
pub(crate) fn write(credential: &Credential, headers: &mut http::HeaderMap) {
    let host = credential.host.as_deref().unwrap_or(NEUTRAL_HOST);
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert(header::HOST, host);
    }
    for (name, value) in &credential.headers {
        headers.append(name, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Credential {
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"tenant":"{name}"}}"#));
        Credential::new()
            .with_host(format!("{name}.test"))
            .with_bearer(format!("eyJh.{claims}.sig-{name}"))
            .with_header("x-tenant", name)
    }

    fn texts(credential: &Credential) -> String {
        format!("{:?} {:?}", credential.host, credential.headers)
    }

    #[test]
    fn a_conflict_always_names_both_tenants_and_a_missing_one_none() {
        for variety in 0..200 {
            let signal = |fault| Signal { fault, other: 1, variety };
            let (mixed, expect) =
                signal(Fault::Conflict).apply(&of("acme"), &of("globex"), None).expect("three parts");
            assert_eq!(expect, Expect::Refused);
            let text = texts(&mixed);
            let claims = |name: &str| URL_SAFE_NO_PAD.encode(format!(r#"{{"tenant":"{name}"}}"#));
            for name in ["acme", "globex"] {
                assert!(text.contains(name) || text.contains(&claims(name)), "{variety}: {text}");
            }
            let (none, _) = signal(Fault::Missing).apply(&of("acme"), &of("globex"), None).expect("always");
            assert!(none.host.is_none() && none.headers.is_empty());
        }
    }

    /// What counts up to the number of ways has gone through all of them.
    #[test]
    fn the_ways_of_a_fault_are_all_that_there_are() {
        for fault in FAULTS {
            let apply = |variety| {
                let signal = Signal { fault, other: 1, variety };
                signal.apply(&of("acme"), &of("globex"), Some(&of("nobody")))
            };
            let texts = |end: u32| {
                let all = (0..end).filter_map(apply).map(|(credential, _)| texts(&credential));
                all.collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(texts(fault.ways()), texts(4_000), "{fault:?}");
        }
    }

    /// The fault of M26: the signature is one's own, the claims are not.
    #[test]
    fn a_tampered_token_is_never_a_valid_one() {
        for variety in 0..50 {
            let signal = Signal { fault: Fault::Tampered, other: 1, variety };
            let (broken, _) = signal.apply(&of("acme"), &of("globex"), None).expect("a token");
            let value = broken.headers.last().expect("the token").1.to_str().expect("a text");
            assert!(!value.ends_with("sig-globex"), "{value}");
        }
    }
}
