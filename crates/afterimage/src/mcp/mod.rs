//! Between an assistant that starts a program and speaks with it by lines, and a server that runs: the Model Context Protocol
//! on standard input and output, carried on to `/mcp`.

mod bridge;
mod client_line;
mod events;
mod session;

pub use bridge::Bridge;
pub use session::carry;
