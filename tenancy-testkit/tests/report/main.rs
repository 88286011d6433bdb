//! The report's forms, on what a service would like them to say.

mod html;
mod junit;
mod sample;
