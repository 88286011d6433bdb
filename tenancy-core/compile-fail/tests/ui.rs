//! Programs that must not compile: what the types keep out.

#[test]
fn no_key_without_a_tenant_compiles() {
    // CACHE-01, CACHE-05, CACHE-06, M15.
    trybuild::TestCases::new().compile_fail("tests/ui/key_*.rs");
}

#[test]
fn no_context_is_forged() {
    // TWR-52, JOB-05.
    trybuild::TestCases::new().compile_fail("tests/ui/context_*.rs");
}
