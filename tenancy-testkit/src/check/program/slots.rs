//! From a parameter's or a body's schema to the slots of a call.

use serde_json::{Value, json};

use super::harvest::{is_id, named, singular};
use super::value::{Only, Shape, Slot, Whose};
use crate::check::describe::operation::{Operation, Param, Place};
use crate::check::describe::schema::{is_free_text, kind, narrow, sample};
use crate::check::describe::world::MARK;
use crate::oracle::rng::Rng;

/// Names that read alike behind the names of tenants that begin alike.
pub(super) const COMMON: [&str; 6] = ["7", "1.7", "1:7", "1-7", "1/7", "1_7"];

/// Fields by which careless services let a body say whose row it is.
pub(super) const TENANT_FIELDS: [&str; 4] = ["tenant_id", "tenantId", "tenant", "org_id"];

/// What a call's values are drawn from.
pub(super) struct Draw<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) caller: usize,
    /// Whose ids the call goes after.
    pub(super) whose: Whose,
    /// Whether texts may be taken from answers too, not only ids.
    pub(super) texts: bool,
    /// The number of the next canary.
    pub(super) number: u16,
    /// The places to which the ids of this call belong; all ids of a call lie near each other.
    pub(super) pick: u32,
}

impl Draw<'_> {
    /// A parameter's slot, `None` where it is left out.
    pub(super) fn param(&mut self, operation: &Operation, param: &Param) -> Option<Slot> {
        if !param.required && !self.rng.chance(45) {
            return None;
        }
        let around = match param.place {
            Place::Path => vec![before(&operation.path, &param.name)],
            _ => operation.collections(),
        };
        let around = around.as_slice();
        let schema = narrow(&param.schema);
        let free = kind(&schema).is_empty()
            || kind(&schema) == "integer"
            || is_free_text(&schema)
            || is_uuid(&schema);
        if (free && param.place == Place::Path) || is_id(&param.name) {
            return Some(self.id(&param.name, around, &param.schema));
        }
        Some(self.value(&param.name, &param.schema, around, param.place != Place::Path))
    }

    /// A body's slot.
    pub(super) fn body(&mut self, operation: &Operation, schema: &Value) -> Slot {
        self.value("", schema, &operation.collections(), false)
    }

    fn value(&mut self, name: &str, schema: &Value, around: &[&str], search: bool) -> Slot {
        let schema = narrow(schema);
        match kind(&schema) {
            "object" => self.object(&schema, around),
            "array" => {
                let count = 1 + self.rng.below(3);
                Slot::List((0..count).map(|i| self.item(name, &schema["items"], around, i)).collect())
            }
            _ if TENANT_FIELDS.contains(&name) => {
                Slot::Tenant { index: self.caller, form: if kind(&schema) == "integer" { 0 } else { 2 } }
            }
            _ if is_id(name) => self.id(name, around, &schema),
            _ if is_free_text(&schema) => self.text(name, around, &schema, search),
            _ => Slot::Literal(sample(&schema, self.rng)),
        }
    }

    /// One of a list: beside the id of another tenant stands one of the caller's.
    fn item(&mut self, name: &str, schema: &Value, around: &[&str], at: usize) -> Slot {
        let whose = self.whose;
        if at > 0 && self.rng.chance(50) {
            self.whose = Whose::Own;
        }
        self.pick += u32::from(at > 0);
        let slot = self.value(name, schema, around, false);
        self.whose = whose;
        slot
    }

    fn object(&mut self, schema: &Value, around: &[&str]) -> Slot {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut fields = Vec::new();
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&name.as_str()) || self.rng.chance(70) {
                fields.push((name.clone(), self.value(name, inner, around, false)));
            }
        }
        Slot::Object(fields)
    }

    fn id(&mut self, name: &str, around: &[&str], schema: &Value) -> Slot {
        // A number stands for one row in a world and for another's in the next; a text is what tenants may have in common.
        if let Some(example @ Slot::Literal(Value::String(_))) = self.example(schema, 35) {
            return example;
        }
        let kinds = match named(name) {
            Some(kind) => vec![kind],
            None => around.iter().map(|part| singular(part)).collect(),
        };
        let only = Only::of(kind(&narrow(schema)));
        let sampled = sample(schema, self.rng);
        let otherwise = if sampled.is_null() { json!(1) } else { sampled };
        Slot::Seen { kinds, only, whose: self.whose, pick: self.pick, otherwise }
    }

    /// The example that the schema gives, in so many of a hundred cases: it is the same for all tenants.
    fn example(&mut self, schema: &Value, percent: u64) -> Option<Slot> {
        let example =
            [&schema["example"], &schema["examples"][0]].into_iter().find(|example| !example.is_null())?;
        let plain = self.whose == Whose::Own && self.rng.chance(percent);
        plain.then(|| Slot::Literal(example.clone()))
    }

    fn text(&mut self, name: &str, around: &[&str], schema: &Value, search: bool) -> Slot {
        let kinds =
            vec![named(name).unwrap_or_else(|| around.first().map_or(String::new(), |part| singular(part)))];
        let only = Only::Text;
        self.number += 1;
        if let Some(example) = self.example(schema, 25) {
            return example;
        }
        let email = schema["format"] == "email" || name.to_ascii_lowercase().contains("email");
        let shape = if email { Shape::Email } else { Shape::Plain };
        let own = Slot::Text { number: self.number, shape };
        if search {
            // What all canaries begin with finds everything; one's own and others' texts find what holds them.
            let pick = self.pick;
            let seen = |whose| {
                let (kinds, otherwise) = (kinds.clone(), json!(MARK));
                Slot::Seen { kinds, only, whose, pick, otherwise }
            };
            return match self.rng.below(5) {
                0 => seen(Whose::Own),
                1 => seen(self.whose),
                2 => own,
                3 => Slot::Literal(sample(schema, self.rng)),
                _ => Slot::Literal(json!(MARK)),
            };
        }
        // The same text in all tenants, and texts that are one with a tenant's name before them: keys that are put
        // together carelessly meet here.
        if !email && self.rng.chance(20) {
            return Slot::Literal(json!(COMMON[self.pick as usize % COMMON.len()]));
        }
        if self.texts && self.whose != Whose::Own {
            let otherwise = json!(format!("{MARK}{}", self.number));
            return Slot::Seen { kinds, only, whose: self.whose, pick: self.pick, otherwise };
        }
        own
    }
}

/// The `pick`th of the caller's own things that a required parameter can name.
pub(super) fn own(operation: &Operation, name: &str, schema: &Value, pick: u32) -> Slot {
    let kinds = match named(name) {
        Some(kind) => vec![kind],
        None => vec![singular(before(&operation.path, name))],
    };
    let example = [&schema["example"], &schema["examples"][0]].into_iter().find(|example| !example.is_null());
    let otherwise = example.cloned().unwrap_or_else(|| json!(1));
    Slot::Seen { kinds, only: Only::of(kind(&narrow(schema))), whose: Whose::Own, pick, otherwise }
}

fn is_uuid(schema: &Value) -> bool {
    schema["format"] == "uuid"
}

/// The part of a path before a parameter: `orders` of `/orders/{id}`.
fn before<'a>(path: &'a str, param: &str) -> &'a str {
    let parts: Vec<&str> = path.split('/').collect();
    let at = parts.iter().position(|part| part.trim_matches(['{', '}', '*']) == param).unwrap_or(0);
    parts[..at].iter().rev().find(|part| !part.is_empty() && !part.starts_with('{')).copied().unwrap_or("")
}
