//! Names that no tenant may have.

/// Names that databases, formats and languages give a meaning of their own. No tenant may be called so: a missing
/// value that was printed must never become somebody (CORE-05).
pub(super) fn is_reserved_word(text: &str) -> bool {
    matches!(
        text,
        "default"
            | "false"
            | "global"
            | "information_schema"
            | "mysql"
            | "nan"
            | "nil"
            | "none"
            | "null"
            | "performance_schema"
            | "public"
            | "sys"
            | "template0"
            | "template1"
            | "true"
            | "undefined"
    )
}

/// Labels that a platform needs for itself (TWR-14).
pub(super) fn is_reserved_label(text: &str) -> bool {
    matches!(
        text,
        "admin"
            | "api"
            | "app"
            | "assets"
            | "autoconfig"
            | "autodiscover"
            | "cdn"
            | "imap"
            | "localhost"
            | "mail"
            | "ns"
            | "pop"
            | "smtp"
            | "static"
            | "status"
            | "wpad"
            | "www"
    )
}

/// Returns whether no tenant id may be `text`, in any case.
pub(super) fn is_reserved(text: &str) -> bool {
    // Nothing reserved is longer: ordinary long ids skip the copy.
    if text.len() > 24 {
        return text.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("pg_"));
    }
    let starts =
        |prefix: &str| text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    starts("pg_") || starts("sqlite_") || is_reserved_word(&text.to_ascii_lowercase())
}
