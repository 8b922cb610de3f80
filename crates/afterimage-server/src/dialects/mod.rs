//! The wire formats, one folder each. A dialect parses and checks requests, and renders jobs and refusals; everything
//! else is shared.

pub mod json;
pub mod parameters;
pub mod wavespeed;
