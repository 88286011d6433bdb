//! What the tenant's connection lets through, and what it keeps out, on real databases.

mod catalog;
mod corpus;
mod crud;
mod danger;
mod dense;
mod errors;
mod faults;
mod fixture;
mod fuzz;
mod leases;
mod mariadb;
mod matrix;
mod plans;
mod pools;
mod qualified;
mod rls;
mod schema;
mod session;
mod text_ids;
mod told;
mod upserts;
