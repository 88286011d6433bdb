//! The layer without its refusals, for a test run that has to notice.

use std::sync::OnceLock;

use tenancy_core::{Guard, Rejection, Resolution, TenantContext};

/// The tenant that refused requests are served as, where [`Guard::Layer`] is off: the first one that was resolved.
#[derive(Clone, Default)]
pub(super) struct Open(OnceLock<TenantContext>);

impl Open {
    /// Takes note of a context that was resolved at a glance.
    pub(super) fn note(&self, context: &TenantContext) {
        if Guard::off() == Some(Guard::Layer) {
            self.0.get_or_init(|| context.clone());
        }
    }

    pub(super) fn at_once(&self, resolution: Resolution) -> Resolution {
        match resolution {
            Resolution::Ready(answer) => Resolution::Ready(self.admit(answer)),
            later => later,
        }
    }

    pub(super) fn admit(&self, answer: Result<TenantContext, Rejection>) -> Result<TenantContext, Rejection> {
        if Guard::off() != Some(Guard::Layer) {
            return answer;
        }
        match answer {
            Ok(context) => {
                self.0.get_or_init(|| context.clone());
                Ok(context)
            }
            Err(rejection) => {
                let first = self.0.get().cloned();
                first.inspect(|_| Guard::Layer.note()).ok_or(rejection)
            }
        }
    }
}
