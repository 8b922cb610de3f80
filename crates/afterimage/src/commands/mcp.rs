//! `afterimage mcp`: assistants on this machine, and a server that runs.

use crate::failure::CommandFailure;
use crate::mcp::{Bridge, PictureFolders, carry};
use crate::values;
use afterimage_jobs::Secret;
use clap::Args;
use std::io::{self, BufReader};
use std::path::PathBuf;
use url::Url;

/// Give an assistant the tools of a server that runs (MCP, on standard input and output)
///
/// Assistants such as Claude Desktop, Cursor and VS Code start it and speak the Model Context Protocol with it, one JSON-RPC
/// message a line. It carries them on to `/mcp` of the server and needs no models of its own. Assistants that speak HTTP can
/// use that address themselves.
#[derive(Args, Debug)]
pub struct Mcp {
    /// Address of the server
    #[arg(
        long,
        env = "AFTERIMAGE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = values::web_url
    )]
    url: Url,

    /// The server's key
    ///
    /// On the command line other users of the machine can see it; the environment variable is the better place.
    #[arg(long, env = "AFTERIMAGE_API_KEY", hide_env_values = true, value_name = "KEY", value_parser = values::secret)]
    api_key: Option<Secret>,

    /// Let the assistant name pictures below this folder by their paths; may be given several times
    ///
    /// Files are read here and sent to the server, pictures alone. Links are followed first, so one that leads out of the
    /// folder is refused. Without this flag no file is read.
    #[arg(long, env = "AFTERIMAGE_ALLOW_FOLDER", hide_env_values = true, value_name = "DIR")]
    allow_folder: Vec<PathBuf>,
}

impl Mcp {
    /// Runs the command.
    pub fn run(&self) -> Result<(), CommandFailure> {
        let bridge = Bridge::new(&self.url, self.api_key.clone(), PictureFolders::new(&self.allow_folder)?)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CommandFailure::other(format!("cannot start the runtime: {error}")))?;
        runtime.block_on(carry(bridge, BufReader::new(io::stdin()), io::stdout()));
        // A thread may still wait for a line.
        runtime.shutdown_background();
        Ok(())
    }
}
