//! Names and URLs of the kit's databases.
//!
//! ```text
//! tk_<run>_owner, tk_<run>_app      the two roles
//! tk_<run>_base                     an empty database with their privileges
//! tk_<run>_tpl_<template>           a migrated template
//! tk_<run>_<process>_<number>       one test's database
//! ```
//!
//! Each key in angle brackets is also the key of an advisory lock, held by the processes that the thing belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::Error;

const DIGITS: usize = 12;
const MASK: u64 = (1 << (4 * DIGITS)) - 1;

/// 48 bits that name something and are the key of its advisory lock.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(crate) struct Key(u64);

impl Key {
    pub(crate) fn random() -> Self {
        Self::from_hash(getrandom::u64().expect("the operating system has random numbers"))
    }

    pub(crate) fn from_hash(hash: u64) -> Self {
        Self(hash & MASK)
    }

    /// Reads a key from a name; only its one spelling counts.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let key = Self(u64::from_str_radix(text, 16).ok()? & MASK);
        (key.to_string() == text).then_some(key)
    }

    /// Returns the key of the advisory lock that is held by whoever uses the thing.
    pub(crate) fn lock(self) -> i64 {
        i64::try_from(self.0).expect("48 bits fit")
    }

    /// Returns the key of the advisory lock that is held by whoever makes the thing.
    pub(crate) fn making_lock(self) -> i64 {
        self.lock() | 1 << (4 * DIGITS)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = DIGITS)
    }
}

/// What the name of a database says about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Base,
    Template(Key),
    Test(Key),
}

/// Reads the name of a database, or says that it is none of the kit's.
pub(crate) fn parse(name: &str) -> Option<(Key, Role)> {
    let mut parts = name.strip_prefix("tk_")?.split('_');
    let run = Key::parse(parts.next()?)?;
    let role = match (parts.next()?, parts.next()) {
        ("base", None) => Role::Base,
        ("tpl", Some(key)) => Role::Template(Key::parse(key)?),
        (process, Some(number)) if number.parse::<u64>().is_ok() => Role::Test(Key::parse(process)?),
        _ => return None,
    };
    parts.next().is_none().then_some((run, role))
}

/// Returns `url` with another user and database.
pub(crate) fn url_for(url: &str, name: &str, password: &str, database: &str) -> Result<String, Error> {
    let mut url = parse_url(url)?;
    let refused = |()| Error::configuration("the PostgreSQL URL has no host");
    url.set_username(name).map_err(refused)?;
    url.set_password(Some(password)).map_err(refused)?;
    url.set_path(database);
    Ok(url.into())
}

/// Returns `url` with another database.
pub(crate) fn database_url(url: &str, database: &str) -> Result<String, Error> {
    let mut url = parse_url(url)?;
    url.set_path(database);
    Ok(url.into())
}

fn parse_url(url: &str) -> Result<Url, Error> {
    url.parse().map_err(|_| Error::configuration("the PostgreSQL URL is not a URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_others_databases_are_none_of_ours() {
        let run = Key(0xabc);
        assert_eq!(parse("tk_000000000abc_base"), Some((run, Role::Base)));
        assert_eq!(parse("tk_000000000abc_tpl_000000000001"), Some((run, Role::Template(Key(1)))));
        assert_eq!(parse("tk_000000000abc_000000000002_7"), Some((run, Role::Test(Key(2)))));
        for foreign in ["postgres", "tk_", "tk_abc_base", "tk_000000000ABC_base", "tk_000000000abc_base_old"]
        {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_url_keeps_its_options_and_loses_its_administrator() {
        let url =
            url_for("postgres://root:secret@h:5/postgres?sslmode=disable", "app", "pw", "db").expect("URL");
        assert_eq!(url, "postgres://app:pw@h:5/db?sslmode=disable");
    }
}
