//! Stored numbers, as weight files hold them and as matrix products read them.
//!
//! [`SharedBytes`] (a range of a mapped file, or of anything else) → [`StoredTensor`] (name, shape, type of number,
//! scale) → [`Matrix`] (rows of a linear layer, possibly from several tensors). Nothing is copied on the way; numbers
//! become f32 where they are used ([`to_f32`], [`Row::read`]).
//!
//! This crate stands below whatever computes and whatever reads files: it knows neither models nor file formats nor
//! processors, and has no `unsafe`.

mod bytes;
mod decode;
mod element;
mod matrix;
mod stored;

pub use bytes::{ByteOwner, SharedBytes};
pub use decode::{Group, to_e4m3, to_f32};
pub use element::{Element, GROUP, Integers};
pub use matrix::{Matrix, Row};
pub use stored::StoredTensor;
