//! [`SchemaName`]: a schema's name that PostgreSQL takes as it is.

use std::fmt;
use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tenancy_core::TenantId;

use crate::error::{Error, ErrorKind};

/// The longest name that PostgreSQL does not cut, in bytes (`NAMEDATALEN` less one).
const LONGEST: usize = 63;
/// Bytes of a hash that stand for what was cut, in hexadecimal digits after `__`.
const HASH: usize = 16;

/// A schema's name in its one spelling: lower case letters, digits and `_`, not beginning with a digit, 63 bytes at
/// most, none of PostgreSQL's own and not `public`.
///
/// No such name needs quotes, and none means another schema when it is cut, folded or read as a list (SCH-01 to
/// SCH-04).
///
/// # Examples
///
/// ```
/// use tenancy_core::TenantId;
/// use tenancy_seaorm::schema::SchemaName;
///
/// assert_eq!(SchemaName::new("acme")?.as_str(), "acme");
/// assert!(SchemaName::new("acme\", \"globex").is_err());
/// assert!(SchemaName::new("public").is_err());
/// assert_eq!(SchemaName::for_tenant("t_", &TenantId::integer(7)?)?.as_str(), "t_7");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct SchemaName(Arc<str>);

impl SchemaName {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Placement`] for everything else than such a name. It is refused, never changed.
    pub fn new(name: &str) -> Result<Self, Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > LONGEST || !name.bytes().all(plain) {
            return Err(refused("use 1 to 63 lower case letters, digits and underscores"));
        }
        if name.as_bytes()[0].is_ascii_digit() {
            return Err(refused("begin with a letter or an underscore"));
        }
        if name.starts_with("pg_") || matches!(name, "public" | "information_schema") {
            return Err(refused("this name is not a tenant's: it is shared, or PostgreSQL's own"));
        }
        Ok(Self(name.into()))
    }

    /// Makes the name of the schema of tenant `id`: `prefix` and the id, escaped, or its hash where that is too long.
    ///
    /// Two tenants never have one name: every byte of an id other than lower case letters and digits is written as `_`
    /// and two hexadecimal digits; where the name would be longer than 63 bytes, its end is replaced by `__` and 128
    /// bits of the SHA-256 of the id.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Placement`] if `prefix` is empty, longer than 20 bytes or no beginning of a name.
    pub fn for_tenant(prefix: &str, id: &TenantId) -> Result<Self, Error> {
        Self::new(prefix)?;
        if prefix.len() > 20 {
            return Err(refused("use a prefix of 20 bytes at most"));
        }
        let id = id.to_string();
        let mut name = prefix.to_owned();
        for byte in id.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' => name.push(char::from(byte)),
                _ => write!(name, "_{byte:02x}").expect("writing to a string does not fail"),
            }
        }
        if name.len() > LONGEST {
            name.truncate(LONGEST - 2 - 2 * HASH);
            name.push_str("__");
            for byte in &Sha256::digest(id.as_bytes())[..HASH] {
                write!(name, "{byte:02x}").expect("writing to a string does not fail");
            }
        }
        Self::new(&name)
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name as an identifier in a statement, in quotes: it may be one of SQL's own words.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchemaName({})", self.0)
    }
}

fn refused(hint: &'static str) -> Error {
    Error::new(ErrorKind::Placement, "a schema's name", hint)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// SCH-02, SCH-03, SCH-04: one spelling, no quote, no list, no name that others have.
    #[test]
    fn what_is_no_plain_name_is_refused() {
        let long = "a".repeat(64);
        let bad = [
            "",
            "Acme",
            "a b",
            "a,b",
            "a\",\"b",
            "a;drop schema b",
            "a\0",
            "ä",
            "1a",
            "pg_temp",
            "public",
            "information_schema",
            "$user",
            "a-b",
            "a.b",
            &long,
        ];
        for name in bad {
            let refusal = SchemaName::new(name).expect_err(name);
            assert_eq!(refusal.kind(), ErrorKind::Placement);
        }
        for name in ["a", "_a", "select", "t_1", &"a".repeat(63)] {
            assert_eq!(SchemaName::new(name).expect("a plain name").as_str(), name);
        }
    }

    /// SCH-01: names that are equal in their first 63 bytes stay apart.
    #[test]
    fn two_tenants_never_have_one_schema() {
        let ids = ["a", "A", "a_", "a-", "a.b", "a-b", "a_5f", "_61"];
        let long = |end: &str| format!("{}{end}", "x-".repeat(30));
        let ids = ids.iter().map(|id| (*id).to_owned()).chain(["a", "b", "aa", "-z"].map(long));
        let ids: Vec<_> = ids.filter_map(|id| TenantId::text(&id).ok()).collect();
        assert!(ids.len() > 6, "{ids:?}");
        let names: HashSet<_> =
            ids.iter().map(|id| SchemaName::for_tenant("t_", id).expect("a name")).collect();
        assert_eq!(names.len(), ids.len(), "{names:?}");
        assert!(names.iter().all(|name| name.as_str().len() <= 63));
    }
}
