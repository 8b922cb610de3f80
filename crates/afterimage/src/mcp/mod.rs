//! Between an assistant that starts a program and speaks with it by lines, and a server that runs: the Model Context Protocol
//! on standard input and output, carried on to `/mcp`.

mod bridge;
mod client_line;
mod events;
mod local_pictures;
mod picture_folders;
mod session;

pub use bridge::Bridge;
pub use picture_folders::PictureFolders;
pub use session::carry;
