//! Links that belong to one tenant.

use tenancy_core::{Domain, DomainState, ErrorKind, Tenant, TenantContext, TenantId, TenantUrls};

fn urls() -> TenantUrls {
    TenantUrls::new(Domain::new("app.example").unwrap()).with_cdn("https://cdn.example/assets/").unwrap()
}

fn acme(domains: &[(&str, DomainState)]) -> TenantContext {
    let mut acme = Tenant::builder(TenantId::text("Acme").unwrap(), "acme".parse().unwrap());
    for (name, state) in domains {
        acme = acme.with_domain_state(Domain::new(name).unwrap(), state.clone());
    }
    TenantContext::assertion(acme.build().unwrap(), "test").unwrap()
}

fn page(context: &TenantContext) -> String {
    urls().page(context, ["x"]).unwrap().to_string()
}

#[test]
fn a_link_goes_to_the_first_verified_domain_and_to_no_other() {
    let (pending, verified) = (DomainState::Pending, DomainState::Verified);
    assert_eq!(page(&acme(&[])), "https://acme.app.example/x");
    let own =
        [("new.acme.example", pending.clone()), ("acme.example", verified.clone()), ("b.example", verified)];
    assert_eq!(page(&acme(&own)), "https://acme.example/x");
    assert_eq!(
        page(&acme(&[("acme.example", pending)])),
        "https://acme.app.example/x",
        "not verified is not theirs"
    );
}

#[test]
fn a_path_cannot_leave_the_site_or_the_tenants_assets() {
    // OPS-15.
    let acme = acme(&[]);
    for hostile in [["..", "x"], ["x", ".."], [".", "x"], ["", "evil.example"], ["x", ""]] {
        assert_eq!(urls().page(&acme, hostile).unwrap_err().kind(), ErrorKind::InvalidName, "{hostile:?}");
        assert_eq!(urls().asset(&acme, hostile).unwrap_err().kind(), ErrorKind::InvalidName, "{hostile:?}");
    }
    let url = urls().page(&acme, ["//evil.example", "a?b#c", "%2e%2e", "\r\n", "@", "ü"]).unwrap();
    assert_eq!(
        url.as_str(),
        "https://acme.app.example/%2F%2Fevil.example/a%3Fb%23c/%252e%252e/%0D%0A/%40/%C3%BC"
    );
}

#[test]
fn the_same_asset_of_two_tenants_has_two_links() {
    let link = |id: &str| urls().asset(&super::context(id), ["uploads", "logo.png"]).unwrap().to_string();
    assert_eq!(link("1"), "https://cdn.example/assets/1/uploads/logo.png");
    assert_ne!(link("acme"), link("Acme"));
    assert_ne!(link("Acme").to_lowercase(), link("acme"), "also where case does not count");
}

#[test]
fn queries_are_escaped() {
    let url = urls().page(&acme(&[]), [""; 0]).unwrap().with_query("a&b", "1=2").with_query("c", "d e#");
    assert_eq!(url.as_str(), "https://acme.app.example/?a%26b=1%3D2&c=d%20e%23");
}

#[test]
fn links_for_development_name_the_port() {
    let urls = TenantUrls::new(Domain::new("localhost").unwrap()).with_plain_http(3000);
    assert_eq!(urls.page(&acme(&[]), ["x"]).unwrap().as_str(), "http://acme.localhost:3000/x");
    assert_eq!(urls.asset(&acme(&[]), ["x"]).unwrap_err().kind(), ErrorKind::InvalidConfiguration);
}

#[test]
fn a_base_of_assets_that_is_no_web_address_is_refused() {
    for base in [
        "",
        "cdn.example",
        "/assets",
        "ftp://cdn.example",
        "https://",
        "https://:443",
        "https://:443/assets",
        "https://c.example/?a",
        "https://c.example/#a",
        "https://user@c.example",
        "javascript:alert(1)",
    ] {
        let refused = TenantUrls::new(Domain::new("app.example").unwrap()).with_cdn(base);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidConfiguration, "{base}");
    }
}
