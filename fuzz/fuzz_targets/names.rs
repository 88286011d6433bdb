//! Ids, slugs and domains: what is accepted reads back as itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tenancy_core::{Domain, TenantId, TenantSlug};

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<TenantId>() {
        assert_eq!(id.to_string(), text);
        assert!(text.len() <= TenantId::MAX_TEXT_LEN && text.is_ascii() && !text.contains(".."));
    }
    if let Ok(slug) = TenantSlug::new(text) {
        assert_eq!(slug.as_str(), text);
        // A label below a base, not a name by itself: `0x` alone would end in a number.
        let host = format!("{text}.example");
        assert_eq!(Domain::new(&host).map(|domain| *domain.as_str() == *host).ok(), Some(true));
    }
    if let Ok(domain) = Domain::new(text) {
        let canonical = domain.as_str();
        assert!(canonical.is_ascii() && canonical.len() <= Domain::MAX_LEN && !canonical.ends_with('.'));
        for spelling in
            [canonical.to_owned(), canonical.to_ascii_uppercase(), domain.to_unicode().into_owned()]
        {
            assert_eq!(Domain::new(&spelling).expect(&spelling), domain);
        }
        let _ = (domain.is_internal(), domain.is_mixed_script());
    }
});
