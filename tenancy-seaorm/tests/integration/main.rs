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
mod mariadb;
mod matrix;
mod plans;
mod pools;
mod rls;
mod schema;
mod session;
