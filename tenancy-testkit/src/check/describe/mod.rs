//! The description of a service: how it starts, how a tenant is named, what it can be asked for.

pub(crate) mod credential;
pub(crate) mod handler;
pub(crate) mod hooks;
mod openapi;
pub(crate) mod operation;
pub(crate) mod schema;
mod service;
pub(crate) mod world;

pub use self::{
    credential::Credential,
    operation::{Access, Operation},
    service::Service,
    world::{Standing, TenantHandle, World},
};
