//! Operations that a diffusion model spends its time in, written for CPU vector units, each with a plain twin in
//! [`plain`] that serves as its oracle.
//!
//! This crate knows nothing of models. It is the only one with `unsafe`: vector intrinsics, raw tile pointers handed
//! to worker threads, memory-mapped files, and a setting of the C library. Every entry point is safe: it checks lengths
//! before it goes to work and panics on a caller's mistake (never on file contents, which are checked where they are
//! read).

pub mod attention;
pub mod conv;
pub mod gemm;
pub mod heap;
pub mod mapping;
pub mod norm;
mod pack;
mod panel;
pub mod plain;
mod scratch;
pub mod simd;
mod tile;
