//! `afterimage migrate`: the tables of a PostgreSQL database.

use super::serve::store_failure;
use crate::database_flag::DatabaseFlag;
use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::output::print_text;
use afterimage_jobs::PostgresStore;
use afterimage_server::options::DatabaseAddress;
use clap::Args;

/// Make or change the tables of a PostgreSQL database for this version
///
/// To be run before the first start, and before servers and workers of a newer version start. Those of the version before
/// go on working meanwhile and afterwards. Several may run at once; a database that is up to date stays as it is.
#[derive(Args, Debug)]
pub struct Migrate {
    #[command(flatten)]
    database: DatabaseFlag,
}

impl Migrate {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let DatabaseAddress::Postgres { address, direct, .. } = self.database.shared(origins)? else {
            return Err(CommandFailure::other("only PostgreSQL has tables to prepare"));
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CommandFailure::other(format!("cannot start the runtime: {error}")))?;
        let migrated = runtime.block_on(PostgresStore::migrate(direct.as_ref().unwrap_or(&address)));
        migrated.map_err(|error| store_failure(&error))?;
        print_text("the database is up to date")
    }
}
