//! What assistants use: a server of the Model Context Protocol (MCP) under `/mcp`, whose tools make, follow and list tasks of
//! the `WaveSpeed` dialect.
//!
//! The crate `rmcp` speaks the protocol. In front of it keys are asked for, bodies are read within the limits of other JSON,
//! and arguments of tools, which may hold pictures, are taken out of the message: they would be copied several times on
//! the protocol's way, and appear in its logs.

mod assistant;
mod call;
mod error;
mod make;
mod message;
mod progress;
mod routes;
mod shown;
mod tasks;
mod tools;

pub use routes::router;
