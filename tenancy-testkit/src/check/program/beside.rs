//! What stands next to a value, and places in a list.

use serde_json::{Value, json};

use super::value::{Seen, Slot, is_uuid};

/// How far from every other value that was seen one has to be, for the one beside it to be nobody's.
const FAR: u128 = 1_000;

/// Values of two types, each in an order of its own.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Number(i64),
    Uuid(u128),
}

impl Place {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if is_uuid(value) => {
                u128::from_str_radix(&text.replace('-', ""), 16).ok().map(Self::Uuid)
            }
            value => value.as_i64().map(Self::Number),
        }
    }

    fn is_far_from(self, other: Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => u128::from(a.abs_diff(b)) > FAR,
            (Self::Uuid(a), Self::Uuid(b)) => a.abs_diff(b) > FAR,
            _ => true,
        }
    }

    fn next(self) -> Option<Value> {
        match self {
            Self::Number(number) => number.checked_add(1).map(Value::from),
            Self::Uuid(number) => {
                let digits = format!("{:032x}", number.checked_add(1)?);
                let part = |from: usize, to: usize| &digits[from..to];
                let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
                Some(json!(parts.join("-")))
            }
        }
    }
}

/// The values beside these, if there are any, all of them are numbers or UUIDs, and none of those can be anybody's.
pub(crate) fn beside(values: &[Value], seen: &[Seen]) -> Option<Vec<Value>> {
    // The same request again would be answered in the same way, and excuse every leak.
    if values.is_empty() {
        return None;
    }
    values.iter().map(|value| Place::of(value).filter(|place| is_alone(*place, seen))?.next()).collect()
}

fn is_alone(place: Place, seen: &[Seen]) -> bool {
    let known = seen.iter().flat_map(Seen::all).filter_map(Place::of);
    known.into_iter().all(|other| other == place || place.is_far_from(other))
}

/// Whether what comes behind `value` in a list is a matter of chance: it is one of the values that were seen, and random, or
/// a text that may be.
pub(crate) fn is_place_of_chance(value: &Value, seen: &[Seen]) -> bool {
    let by_chance = Place::of(value).map_or(!is_digits(value), |place| is_alone(place, seen));
    by_chance && seen.iter().flat_map(Seen::all).any(|known| known == value)
}

/// Whether a place in a list is named by a text that says nothing to others than the service: of nobody's there is none that
/// it would read, so that there is nothing to compare with.
pub(crate) fn is_opaque_place(slot: &Slot, values: &[Value]) -> bool {
    let text = |value: &Value| value.is_string() && Place::of(value).is_none() && !is_digits(value);
    slot.is_place() && values.iter().any(text)
}

fn is_digits(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KIT-10: what stands beside a random id is nobody's; what stands beside one of a sequence may be anybody's.
    #[test]
    fn only_what_stands_far_from_others_has_something_of_nobodys_beside_it() {
        let mut seen = vec![Seen::default(); 2];
        let (far, uuid) = (json!(1_563_519_750_006_355_i64), json!("0190a1b2-7c3d-7e4f-8a5b-6c7d8e9fffff"));
        let near = "0190a1b2-7c3d-7e4f-8a5b-000000000001";
        for id in [json!(1), json!(2), far.clone(), json!(1_563_519_750_106_355_i64), uuid.clone()] {
            seen[1].add("order", &id);
        }
        seen[0].add("order", &json!(near));
        seen[0].add("order", &json!("0190a1b2-7c3d-7e4f-8a5b-000000000002"));
        let next = vec![json!(1_563_519_750_006_356_i64), json!("0190a1b2-7c3d-7e4f-8a5b-6c7d8ea00000")];
        assert_eq!(beside(&[far.clone(), uuid], &seen), Some(next));
        let (last, digits) = (json!("ffffffff-ffff-ffff-ffff-ffffffffffff"), json!("7"));
        for none in
            [vec![], vec![json!(2)], vec![far, json!(1)], vec![digits], vec![json!(i64::MAX)], vec![last]]
        {
            assert_eq!(beside(&none, &seen), None, "{none:?}");
        }
        assert_eq!(beside(&[json!(near)], &seen), None);
    }

    /// KIT-10: what comes behind a number of a sequence is compared, and what comes behind one of chance is not.
    #[test]
    fn a_place_among_values_of_chance_is_one_of_chance() {
        let (mut seen, far) = (vec![Seen::default()], json!(1_563_519_750_006_355_i64));
        for value in [json!(1), json!(2), json!("17"), json!("b3BhcXVl"), far.clone()] {
            seen[0].add("cursor", &value);
        }
        assert!(is_place_of_chance(&far, &seen) && is_place_of_chance(&json!("b3BhcXVl"), &seen));
        for other in [json!(2), json!("17"), json!(1_999_000_000), json!("nobody1")] {
            assert!(!is_place_of_chance(&other, &seen), "{other}");
        }
    }
}
