//! What the tenant's connection lets through, and what it keeps out, on real databases.

mod catalog;
mod corpus;
mod crud;
mod danger;
mod dense;
mod errors;
mod fixture;
mod fuzz;
mod mariadb;
mod matrix;
