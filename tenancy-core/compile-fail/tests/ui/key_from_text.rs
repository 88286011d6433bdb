//! A text is no key, however much it looks like one.
use tenancy_core::NamespacedKey;

fn main() {
    let _: NamespacedKey = "tenant:1:orders:7".into();
}
