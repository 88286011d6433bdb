//! Strings of MySQL that end in the same place whatever the server's `sql_mode` says.
//!
//! With `NO_BACKSLASH_ESCAPES`, and in what `ANSI_QUOTES` makes a name, a backslash is a character like any other. A text
//! such as `'\' AS a FROM orders -- '` is one string to this crate and code to such a server, and what stands behind it a
//! comment: the tenant's condition among it.

use super::token::unparsable;
use crate::error::Error;

/// Refuses a quoted token that would end earlier if backslashes escaped nothing.
pub(super) fn check(text: &str) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let Some(open) = bytes.iter().position(|byte| matches!(byte, b'\'' | b'"' | b'`')) else { return Ok(()) };
    let inside = bytes.get(open + 1..bytes.len().saturating_sub(1)).unwrap_or_default();
    // Each quote inside is doubled, or else it is the end by the other reading.
    let mut at = 0;
    while let Some(found) = inside[at..].iter().position(|byte| *byte == bytes[open]) {
        if inside.get(at + found + 1) != Some(&bytes[open]) {
            return Err(unparsable("a string that ends elsewhere in another sql_mode"));
        }
        at += found + 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_where_every_mode_ends_it() {
        let whole = [
            "'a'",
            "''",
            "''''",
            "'it''s'",
            r"'a\\'",
            r"'C:\dir'",
            r"'\n'",
            "`a``b`",
            r#""it's""#,
            r#""a""b""#,
            "N'a'",
        ];
        for text in whole {
            assert!(check(text).is_ok(), "{text}");
        }
        let cut = [r"'a\' FROM orders -- '", r"'\''", r#""a\" FROM orders -- ""#, r"N'\' -- '", r"'a''b\''"];
        for text in cut {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
