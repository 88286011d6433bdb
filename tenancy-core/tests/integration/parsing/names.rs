//! Ids, slugs, domains, statuses (CORE-01, CORE-02, CORE-03, CORE-04, CORE-05, CORE-06, DIR-15).

use super::config;
use proptest::prelude::*;
use tenancy_core::{
    Domain, DomainState, MemoryCatalog, Tenant, TenantId, TenantIdRef, TenantSlug, TenantStatus,
};

/// Texts near the grammars: what tells a good parser is what it does with almost right input.
fn near() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9._-]{0,70}",
        "[0-9]{0,25}",
        "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        "\\{?[0-9a-f]{32}\\}?",
        "(pg_|sqlite_|PG_|xn--|www|null|)[a-z0-9-]{0,10}",
        "[a-z0-9]{1,5}(\\.|/|\\\\|%2f|:|\\||\\*|\\?|\\[|\\]| |\t|\n|\0|\u{200d}|é|e\u{301}|\u{212a})[a-z0-9]{1,5}",
        "[a-z]{250,260}",
    ]
}

proptest! {
    #![proptest_config(config())]

    /// CORE-06: what is read is written back as it was, so that equal ids are equal texts and the reverse.
    #[test]
    fn an_id_that_is_read_is_written_as_it_was(text in near()) {
        if let Ok(id) = text.parse::<TenantId>() {
            prop_assert_eq!(id.to_string(), text.as_str());
            prop_assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
            prop_assert_eq!(serde_json::from_str::<TenantId>(&format!("\"{text}\"")).unwrap(), id.clone());
            let again = match id.as_ref() {
                TenantIdRef::Integer(value) => TenantId::integer(value),
                TenantIdRef::Uuid(uuid) => TenantId::uuid(uuid),
                TenantIdRef::Text(text) => TenantId::text(text),
            };
            prop_assert_eq!(again.unwrap(), id);
        }
    }

    /// CORE-01, CORE-02, CORE-03, CORE-04: nothing that means something to a path, a pattern, a key or a reader of Unicode.
    #[test]
    fn an_id_holds_nothing_that_others_read_meaning_into(text in near()) {
        if text.parse::<TenantId>().is_ok() {
            prop_assert!((1..=TenantId::MAX_TEXT_LEN).contains(&text.len()));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)));
            prop_assert!(!text.contains("..") && !text.starts_with(['.', '-', '_']) && !text.ends_with(['.', '-', '_']));
            let lower = text.to_ascii_lowercase();
            prop_assert!(!lower.starts_with("pg_") && !lower.starts_with("sqlite_"));
            let reserved = ["public", "default", "null", "undefined", "none", "information_schema", "nan", "true"];
            prop_assert!(!reserved.contains(&&*lower));
        }
    }

    #[test]
    fn every_positive_integer_and_every_uuid_is_an_id(value in 1..=i64::MAX, bits in 1..u128::MAX) {
        let id = TenantId::integer(value).unwrap();
        prop_assert_eq!(id.to_string().parse::<TenantId>().unwrap(), id);
        let id = TenantId::uuid(uuid::Uuid::from_u128(bits)).unwrap();
        prop_assert_eq!(id.to_string().parse::<TenantId>().unwrap(), id);
        prop_assert!(TenantId::integer(-value).is_err());
        let padded = format!("0{value}");
        prop_assert!(padded.parse::<TenantId>().is_err());
    }

    #[test]
    fn texts_of_the_grammar_are_ids(text in "[a-z][a-zA-Z0-9]{24,30}([._-][a-zA-Z0-9]{1,20}){0,5}") {
        prop_assert_eq!(text.parse::<TenantId>().unwrap().to_string(), text);
    }

    #[test]
    fn a_slug_is_one_lower_case_label_and_is_written_as_it_was(text in near()) {
        if let Ok(slug) = TenantSlug::new(&text) {
            prop_assert_eq!(slug.as_str(), text.as_str());
            prop_assert!((1..=63).contains(&text.len()));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(!text.starts_with("xn--") && !text.starts_with('-') && !text.ends_with('-'));
            prop_assert!(!["www", "api", "admin", "mail", "localhost"].contains(&&*text));
            // A label below a base, not a name by itself: `0x` alone would end in a number.
            let host = format!("{text}.example");
            let domain = Domain::new(&host).unwrap();
            prop_assert_eq!(domain.as_str(), &host);
            prop_assert_eq!(serde_json::from_value::<TenantSlug>(text.into()).unwrap(), slug);
        }
    }

    /// TWR-09, TWR-15: a domain reads back as itself, in whatever case, with or without the root's dot.
    #[test]
    fn a_domain_has_one_canonical_form(text in domain_text()) {
        if let Ok(domain) = Domain::new(&text) {
            let canonical = domain.as_str();
            prop_assert!(canonical.is_ascii() && canonical.len() <= Domain::MAX_LEN);
            prop_assert!(!canonical.ends_with('.') && !canonical.bytes().any(|byte| byte.is_ascii_uppercase()));
            prop_assert!(canonical.split('.').all(|label| (1..=63).contains(&label.len())));
            for spelling in [
                canonical.to_owned(),
                canonical.to_ascii_uppercase(),
                format!("{canonical}."),
                domain.to_unicode().into_owned(),
            ] {
                prop_assert_eq!(&Domain::new(&spelling).unwrap(), &domain, "{}", spelling);
            }
            prop_assert_eq!(serde_json::from_value::<Domain>(canonical.into()).unwrap(), domain);
        }
    }

    /// TWR-12: whole labels, never suffixes.
    #[test]
    fn a_domain_is_within_another_by_whole_labels(label in "[a-z]{1,5}", base in "[a-z]{1,5}\\.example") {
        let domain = |text: String| Domain::new(&text).unwrap();
        let base = domain(base);
        let below = domain(format!("{label}.{base}"));
        let (glued, above) = (domain(format!("{label}{base}")), domain(format!("{base}.{label}")));
        prop_assert!(below.is_within(&base) && base.is_within(&base));
        prop_assert!(!glued.is_within(&base) && !above.is_within(&base) && !base.is_within(&below));
    }

    /// DIR-15
    #[test]
    fn a_status_is_read_from_its_own_text_alone(text in "[a-zA-Z_ ]{0,14}") {
        if let Ok(status) = text.parse::<TenantStatus>() {
            prop_assert_eq!(status.as_str(), text);
        }
    }

    /// DIR-11: one tenant for one domain, however the second one spells it.
    #[test]
    fn a_domain_cannot_be_claimed_twice_by_another_spelling(text in domain_text(), dot in any::<bool>()) {
        let Ok(domain) = Domain::new(&text) else { return Ok(()) };
        prop_assume!(!domain.is_internal());
        let tenant = |id, slug: &str, domain: Domain| {
            Tenant::builder(TenantId::integer(id).unwrap(), slug.parse().unwrap()).with_domain(domain).build()
        };
        let catalog = MemoryCatalog::builder().with_mixed_scripts().build();
        catalog.insert(tenant(1, "acme", domain.clone()).unwrap()).unwrap();
        let spelled = format!("{}{}", domain.to_unicode().to_uppercase(), if dot { "." } else { "" });
        if let Ok(second) = Domain::new(&spelled) {
            // Upper-casing can change a letter of a few scripts for good; what is then another name may be another's.
            let taken = catalog.insert(tenant(2, "globex", second.clone()).unwrap()).is_err();
            prop_assert_eq!(taken, second == domain);
        }
        prop_assert!(catalog.insert(tenant(3, "initech", domain).unwrap()).is_err());
    }

    /// CORE-20: what may be secret is in no debug output.
    #[test]
    fn settings_are_in_no_debug_output(secret in "[A-Z]{12}") {
        let builder = Tenant::builder(TenantId::integer(1).unwrap(), "acme".parse().unwrap())
            .with_setting("dsn", format!("postgres://u:{secret}@h/db"))
            .with_domain_state("acme.example".parse().unwrap(), DomainState::Pending);
        let mut shown = format!("{builder:?}");
        let tenant = builder.build().unwrap();
        shown += &format!("{tenant:?} {tenant:#?}");
        let context = tenancy_core::TenantContext::assertion(tenant, "test").unwrap();
        shown += &format!("{context:?}");
        prop_assert!(!shown.contains(&secret));
    }

    #[test]
    fn a_record_survives_json(plan in "[a-z]{1,8}", version in any::<u64>(), seats in any::<i64>()) {
        let tenant = Tenant::builder(TenantId::integer(7).unwrap(), "acme".parse().unwrap())
            .with_plan(plan)
            .with_version(version)
            .with_setting("seats", seats)
            .with_status(TenantStatus::Maintenance)
            .with_domain("bücher.example".parse().unwrap())
            .build()
            .unwrap();
        let json = serde_json::to_string(&*tenant).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Tenant>(&json).unwrap(), &*tenant);
    }
}

fn domain_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9-]{1,20}(\\.[a-zA-Z0-9-]{1,20}){0,4}\\.?",
        "[a-zäöüßéñçаеосαβγ字.-]{1,20}\\.[a-z]{2,3}",
        "(xn--)?[a-z0-9-]{0,12}\\.(xn--[a-z0-9-]{0,8}|[0-9]{1,3}|0x[0-9a-f]{0,4}|[a-z]{2})",
        "[0-9.]{1,16}",
        "\\PC{1,6}\\.\\PC{1,6}",
    ]
}

/// CORE-04: the composed and the decomposed spelling are one domain, and no id or slug at all.
#[test]
fn twins_in_unicode_are_one_domain_and_no_id() {
    assert_eq!(Domain::new("caf\u{e9}.example").unwrap(), Domain::new("cafe\u{301}.example").unwrap());
    assert_eq!(Domain::new("KELVIN\u{212a}.example").unwrap(), Domain::new("kelvink.example").unwrap());
    for text in ["caf\u{e9}", "cafe\u{301}", "a\u{200d}b", "\u{ff41}cme"] {
        assert!(text.parse::<TenantId>().is_err() && TenantSlug::new(text).is_err(), "{text}");
    }
}

/// TWR-15: found by fuzzing. To a decoder this is a valid label, and what it decodes to begins with `xn--` again.
#[test]
fn a_punycode_label_inside_of_another_is_no_domain() {
    assert!(Domain::new("xn--xn--a-nna-nna-nns").is_err());
    assert!(Domain::new("xn--xn--a-nna-nna-nns.example").is_err());
    assert!(Domain::new("xn--bcher-kva.example").is_ok());
}

/// TWR-16: look-alikes are another name, and are refused at registration unless the service admits them.
#[test]
fn a_look_alike_is_another_domain_and_is_not_admitted_by_default() {
    let cyrillic = Domain::new("\u{430}cme.example").unwrap();
    assert_ne!(cyrillic, Domain::new("acme.example").unwrap());
    assert!(cyrillic.is_mixed_script() && !Domain::new("bücher.example").unwrap().is_mixed_script());
    let tenant = Tenant::builder(TenantId::integer(1).unwrap(), "acme".parse().unwrap())
        .with_domain(cyrillic)
        .build()
        .unwrap();
    assert!(MemoryCatalog::new().insert(tenant.clone()).is_err());
    assert!(MemoryCatalog::builder().with_mixed_scripts().build().insert(tenant).is_ok());
}

/// CORE-02: sizes at and beyond each limit.
#[test]
fn lengths_are_bounded() {
    assert!("".parse::<TenantId>().is_err() && TenantSlug::new("").is_err() && Domain::new("").is_err());
    for (length, id, slug) in [(1, true, true), (63, true, true), (64, true, false), (255, true, false)] {
        assert_eq!("a".repeat(length).parse::<TenantId>().is_ok(), id, "{length}");
        assert_eq!(TenantSlug::new(&"a".repeat(length)).is_ok(), slug, "{length}");
    }
    for length in [256, 1_000_000] {
        let text = "a".repeat(length);
        assert!(
            text.parse::<TenantId>().is_err()
                && TenantSlug::new(&text).is_err()
                && Domain::new(&text).is_err()
        );
    }
}

/// CORE-03: what keys, patterns and names of others give a meaning to is in no id and no slug, and so in nothing that is
/// made of one.
#[test]
fn delimiters_are_in_no_id_and_no_slug() {
    for mark in [":", "|", "*", "?", "[b]", "{b}", "@", "#", "%", ",", ";", "'", "\"", "`", "$", "/", "="] {
        for text in [format!("a{mark}b"), format!("a{mark}"), format!("{mark}b"), mark.to_owned()] {
            assert!(text.parse::<TenantId>().is_err(), "{text}");
            assert!(TenantId::text(&text).is_err(), "{text}");
            assert!(TenantSlug::new(&text).is_err(), "{text}");
        }
    }
    // What the grammar has of marks is told apart in keys, and stands for itself in them.
    let ids = ["a-b", "a.b", "a_b", "ab"];
    let keys = ids.map(|id| tenancy_core::NamespacedKey::new(&crate::names::context(id), "c").to_string());
    assert_eq!(keys, ids.map(|id| format!("tenant:{id}:c")));
}
