//! [`Slot`]: a place in a request whose value is known only when the request is made.
//!
//! A program says "the second order that globex has seen", not "17": so it replays on a fresh database, and so the twin
//! of a tenant asks for the same thing in a world where the numbers differ.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::beside::is_place_of_chance;
use super::harvest::PLACE;
use crate::check::describe::{World, hooks::Database};

/// Whose value a slot takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whose {
    Own,
    /// Of the tenant with this index.
    Foreign(usize),
    /// Of the same type, and of nobody.
    Unknown,
}

/// The dress of a canary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    Plain,
    Email,
}

/// Of which type a value has to be: a field `customer` holds an id in one answer and a name in another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Only {
    Number,
    Text,
    /// Numbers if there are any, or else UUIDs if there are any, or else anything.
    Best,
}

impl Only {
    /// What a schema of this kind allows.
    pub(crate) fn of(kind: &str) -> Self {
        match kind {
            "integer" | "number" => Self::Number,
            "string" => Self::Text,
            _ => Self::Best,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Literal(Value),
    /// A text of the caller that nobody else has.
    Text {
        number: u16,
        shape: Shape,
    },
    /// A value that the service has answered under a name, to the caller or to another.
    ///
    /// The name is the first of `kinds` under which anybody has seen something of the type.
    Seen {
        kinds: Vec<String>,
        only: Only,
        whose: Whose,
        pick: u32,
        otherwise: Value,
    },
    List(Vec<Slot>),
    Object(Vec<(String, Slot)>),
    /// How the tenant with this index is named, where a body may say whose row it is: by its number, by its slug, or by
    /// what the tenant column holds.
    Tenant {
        index: usize,
        form: u8,
    },
}

/// What each tenant's answers have held, by the name of the field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    kinds: BTreeMap<String, Kept>,
    /// The step whose answer is being read.
    pub(crate) now: u16,
}

/// The values of a name, and the step in which each was seen first.
#[derive(Clone, Debug, Default)]
struct Kept {
    values: Vec<Value>,
    since: Vec<u16>,
}

/// How many values of a kind are kept for each tenant.
const KEPT: usize = 64;

impl Seen {
    pub(crate) fn add(&mut self, kind: &str, value: &Value) {
        let kept = self.kinds.entry(kind.to_owned()).or_default();
        if kept.values.len() < KEPT && !kept.values.contains(value) {
            kept.values.push(value.clone());
            kept.since.push(self.now);
        }
    }

    pub(crate) fn of(&self, kind: &str) -> &[Value] {
        self.kinds.get(kind).map_or(&[], |kept| &kept.values)
    }

    /// Everything that was seen, under whatever name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        self.kinds.values().flat_map(|kept| &kept.values)
    }

    /// The step in which `value` was seen first under this name.
    fn since(&self, kind: &str, value: &Value) -> Option<u16> {
        let kept = self.kinds.get(kind)?;
        let at = kept.values.iter().position(|known| known == value)?;
        kept.since.get(at).copied()
    }
}

/// What a slot is resolved against.
pub(crate) struct Known<'a> {
    pub(crate) world: &'a World,
    pub(crate) caller: usize,
    /// Of each tenant of the world.
    pub(crate) seen: &'a [Seen],
    pub(crate) column: Option<&'a Database>,
    /// What stood for others' values in the run that this one is compared with.
    pub(crate) recorded: Option<&'a [Value]>,
}

/// A value, and what the resolution came upon.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// A value of another tenant that the caller has not got itself.
    pub(crate) foreign: bool,
    /// Whose value that was.
    pub(crate) owner: Option<usize>,
    /// Nothing of that name was there: the request says something else than the program means.
    pub(crate) missing: bool,
    /// The values that stood for others' and for nobody's, in order.
    pub(crate) others: Vec<Value>,
    /// The steps in which the values that were used had been seen first.
    pub(crate) sources: Vec<u16>,
    /// Whether what comes behind a value is a matter of chance.
    pub(crate) by_chance: bool,
}

impl Slot {
    pub(crate) fn resolve(&self, known: &Known<'_>, used: &mut Used) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Text { number, shape } => {
                let text = known.world.all()[known.caller].canary(*number);
                Value::String(match shape {
                    Shape::Plain => text,
                    Shape::Email => format!("{text}@mail.test"),
                })
            }
            Self::Seen { kinds, only, whose, pick, otherwise } => {
                let kind = known.kind(kinds, *only);
                let value = seen(known, kind, *whose, *pick, otherwise, used);
                used.by_chance |= self.is_place() && is_place_of_chance(&value, known.seen);
                value
            }
            Self::List(items) => items.iter().map(|item| item.resolve(known, used)).collect(),
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, slot)| (name.clone(), slot.resolve(known, used)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Self::Tenant { index, form } => {
                let tenant = &known.world.all()[*index];
                if *index != known.caller {
                    (used.foreign, used.owner) = (true, Some(*index));
                }
                match (form, known.column) {
                    (0, _) => json!(tenant.id()),
                    (1, _) | (_, None) => json!(tenant.slug()),
                    (_, Some(column)) => json!((column.of)(tenant)),
                }
            }
        }
    }

    /// The same, but for another value of nobody's.
    pub(crate) fn shifted(&self) -> Self {
        match self {
            Self::Seen { kinds, only, whose: Whose::Unknown, pick, otherwise } => {
                let (kinds, otherwise) = (kinds.clone(), otherwise.clone());
                Self::Seen { kinds, only: *only, whose: Whose::Unknown, pick: pick + 17, otherwise }
            }
            Self::List(items) => Self::List(items.iter().map(Self::shifted).collect()),
            Self::Object(fields) => {
                Self::Object(fields.iter().map(|(name, slot)| (name.clone(), slot.shifted())).collect())
            }
            other => other.clone(),
        }
    }

    /// Puts `text` in the place of the caller's own names, and says whether there were any.
    pub(crate) fn name_all(&mut self, text: &str) -> bool {
        match self {
            Self::Text { shape: Shape::Plain, .. } => {
                *self = Self::Literal(json!(text));
                true
            }
            // The first field that is a name; the others go on saying whose the thing is.
            Self::Object(fields) => fields.iter_mut().any(|(_, slot)| slot.name_all(text)),
            _ => false,
        }
    }

    /// Whether it says where a page begins, rather than which thing is meant.
    pub(crate) fn is_place(&self) -> bool {
        matches!(self, Self::Seen { kinds, .. } if kinds.iter().any(|kind| kind == PLACE))
    }

    /// How many values of earlier answers it needs.
    pub(crate) fn needs(&self) -> usize {
        match self {
            Self::Seen { .. } => 1,
            Self::List(items) => items.iter().map(Self::needs).sum(),
            Self::Object(fields) => fields.iter().map(|(_, slot)| slot.needs()).sum(),
            _ => 0,
        }
    }
}

/// A name, and the type of value that is meant.
#[derive(Clone, Copy)]
struct Kind<'a> {
    name: &'a str,
    fits: fn(&Value) -> bool,
}

impl Known<'_> {
    fn kind<'k>(&self, kinds: &'k [String], only: Only) -> Kind<'k> {
        let fits: &[fn(&Value) -> bool] = match only {
            Only::Number => &[Value::is_number],
            Only::Text => &[Value::is_string],
            Only::Best => &[Value::is_number, is_uuid, |_| true],
        };
        let all = kinds.iter().flat_map(|name| fits.iter().map(|fits| Kind { name, fits: *fits }));
        let there = |kind: &Kind<'_>| self.seen.iter().any(|seen| seen.of(kind.name).iter().any(kind.fits));
        let first = kinds.first().map_or("", String::as_str);
        all.into_iter().find(there).unwrap_or(Kind { name: first, fits: fits[0] })
    }

    fn values(&self, tenant: usize, kind: Kind<'_>) -> Vec<&Value> {
        self.seen[tenant].of(kind.name).iter().filter(|value| (kind.fits)(value)).collect()
    }
}

pub(crate) fn is_uuid(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 36 && text.matches('-').count() == 4)
}

fn seen(
    known: &Known<'_>,
    kind: Kind<'_>,
    whose: Whose,
    pick: u32,
    otherwise: &Value,
    used: &mut Used,
) -> Value {
    let own = known.values(known.caller, kind);
    if whose == Whose::Own {
        used.missing |= own.is_empty();
        return match own.get(pick as usize % own.len().max(1)) {
            Some(value) => {
                used.sources.extend(known.seen[known.caller].since(kind.name, value));
                (*value).clone()
            }
            // A small number is somebody's, where numbers are not each tenant's own, and nobody's where the tenant is alone.
            None if otherwise.is_number() || is_uuid(otherwise) => unknown(otherwise, pick),
            None => otherwise.clone(),
        };
    }
    let value = match known.recorded {
        Some(recorded) => match recorded.get(used.others.len()) {
            Some(value) if !own.contains(&value) => value.clone(),
            value => unknown(value.unwrap_or(otherwise), pick),
        },
        None => foreign(known, kind, whose, pick, otherwise, used),
    };
    used.others.push(value.clone());
    value
}

/// Another tenant's value that the caller has not got: overlapping ids say nothing about who is asked for.
fn foreign(
    known: &Known<'_>,
    kind: Kind<'_>,
    whose: Whose,
    pick: u32,
    otherwise: &Value,
    used: &mut Used,
) -> Value {
    let own = known.values(known.caller, kind);
    let Whose::Foreign(index) = whose else {
        return unknown(example(known, kind).unwrap_or(otherwise), pick);
    };
    let theirs = known.values(index, kind);
    used.missing |= theirs.is_empty();
    let strangers: Vec<&Value> = theirs.into_iter().filter(|value| !own.contains(value)).collect();
    match strangers.as_slice() {
        [] => unknown(example(known, kind).unwrap_or(otherwise), pick),
        strangers => {
            (used.foreign, used.owner) = (true, Some(index));
            let value = strangers[pick as usize % strangers.len()];
            used.sources.extend(known.seen[index].since(kind.name, value));
            value.clone()
        }
    }
}

/// Any value of that name, for its type.
fn example<'a>(known: &Known<'a>, kind: Kind<'_>) -> Option<&'a Value> {
    known.seen.iter().find_map(|seen| seen.of(kind.name).iter().find(|value| (kind.fits)(value)))
}

/// A value of the type of `like` that nobody has.
pub(crate) fn unknown(like: &Value, pick: u32) -> Value {
    match like {
        Value::String(text) if is_uuid(like) => {
            // The version and the variant of the one that was seen: a parser may insist.
            let (version, variant) = (&text[14..15], &text[19..20]);
            json!(format!("{}-4bad-{version}bad-{variant}bad-{pick:012x}", &text[..8]))
        }
        Value::String(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            json!((1_999_000_000 + u64::from(pick % 1_000)).to_string())
        }
        Value::String(text) if text.contains('@') => json!(format!("nobody{pick}@mail.test")),
        Value::String(_) => json!(format!("nobody{pick}")),
        // Within 32 bits, or an overflow would answer instead of the look-up.
        _ => json!(1_999_000_000_u64 + u64::from(pick % 1_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::describe::Standing;

    #[test]
    fn a_foreign_value_is_one_that_the_caller_has_not_got() {
        let world = World::new(3, &[Standing::Active; 2], false, 1);
        let mut seen = vec![Seen::default(); 2];
        for id in [1, 2] {
            seen[0].add("order", &json!(id));
        }
        for id in [1, 2, 3] {
            seen[1].add("order", &json!(id));
        }
        // What goes by the name of the thing is not always its id.
        seen[1].add("order", &json!("the third one"));
        let kinds = vec!["status".to_owned(), "order".to_owned()];
        seen[1].add("status", &json!("open"));
        let slot = |whose| {
            let (kinds, only, otherwise) = (kinds.clone(), Only::Number, json!(1));
            Slot::Seen { kinds, only, whose, pick: 0, otherwise }
        };
        // The one who has all of the other's ids asks for one that nobody has.
        for (caller, other, foreign, found) in [(0, 1, json!(3), true), (1, 0, json!(1_999_000_000), false)] {
            let known = Known { world: &world, caller, seen: &seen, column: None, recorded: None };
            let mut used = Used::default();
            assert_eq!(slot(Whose::Foreign(other)).resolve(&known, &mut used), foreign);
            assert_eq!(used.foreign, found);
            assert!(slot(Whose::Unknown).resolve(&known, &mut used).as_u64() > Some(1_000_000));
        }
    }

    #[test]
    fn an_unknown_value_has_the_type_of_the_known_ones() {
        let id = json!("0190a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b");
        let other = unknown(&id, 9);
        assert_ne!(id, other);
        assert_eq!(other.as_str().map(|text| (text.len(), text.as_bytes()[14])), Some((36, b'7')));
        let world = World::new(3, &[Standing::Active], false, 1);
        let known =
            Known { world: &world, caller: 0, seen: &[Seen::default()], column: None, recorded: None };
        let slot = |otherwise| {
            let (kinds, only, whose) = (vec!["order".to_owned()], Only::Best, Whose::Own);
            Slot::Seen { kinds, only, whose, pick: 0, otherwise }.resolve(&known, &mut Used::default())
        };
        assert!(slot(json!(1)).as_u64() > Some(1_000_000), "a row of whoever came first");
        assert_eq!(slot(json!("zq")), "zq");
        assert_eq!(unknown(&json!("17"), 0).as_str().map(str::len), Some(10));
        assert!(unknown(&json!("a@b.test"), 0).as_str().is_some_and(|text| text.contains('@')));
    }
}
