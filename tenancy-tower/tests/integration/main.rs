//! The layer against real servers, over real sockets.

mod client;
mod contract;
mod disclosure;
mod grpc;
mod h2;
mod headers;
mod lifetime;
mod observe;
mod propagate;
mod raw;
mod storms;
mod world;
