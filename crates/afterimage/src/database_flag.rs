//! Which database.

use crate::failure::CommandFailure;
use crate::origin::{Origin, Origins};
use crate::values::{self, NamedDatabase, PostgresUrl};
use afterimage_server::options::DatabaseAddress;
use clap::Args;

/// Which database.
#[derive(Args, Debug)]
pub struct DatabaseFlag {
    /// Where jobs and keys are kept: `sqlite:FILE` or `postgres://USER@HOST/NAME`
    ///
    /// With PostgreSQL, servers and workers on any number of hosts share one queue; `afterimage migrate` makes its tables.
    /// Several hosts may be named (HOST,HOST), of which one writes. Behind a pooler in transaction mode add
    /// ?pooler=transaction. The password comes by PGPASSWORD, by a password file or in the environment variable, not on
    /// the command line. A connection that leaves this machine is encrypted and the server's name is checked, unless
    /// sslmode says otherwise. Default: a SQLite file in the data folder.
    #[arg(
        long,
        env = "AFTERIMAGE_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = values::database_url
    )]
    database_url: Option<NamedDatabase>,

    /// The same PostgreSQL database past a pooler
    ///
    /// Poolers do not pass on news between hosts; without them jobs and ends are found by looking twice a second. Tables are
    /// made and changed on this way, too.
    #[arg(
        long,
        env = "AFTERIMAGE_DATABASE_DIRECT_URL",
        hide_env_values = true,
        value_name = "URL",
        hide_short_help = true,
        value_parser = values::postgres_url
    )]
    database_direct_url: Option<PostgresUrl>,

    /// Hosts that may vanish with a job before it is given up
    ///
    /// Where hosts are taken away at any time, 3 or more keep jobs from ending for that. Jobs whose engine processes die are
    /// given up after the second death whatever is set. PostgreSQL only.
    #[arg(
        long,
        env = "AFTERIMAGE_EXPIRED_LEASES",
        hide_env_values = true,
        value_name = "N",
        default_value = "2",
        hide_short_help = true,
        value_parser = clap::value_parser!(u32).range(2..=5)
    )]
    expired_leases: u32,
}

impl DatabaseFlag {
    /// What was named.
    ///
    /// # Errors
    /// A password on the command line, where every user of the machine can read it.
    pub fn address(&self, origins: &Origins) -> Result<Option<DatabaseAddress>, CommandFailure> {
        let main = match &self.database_url {
            Some(NamedDatabase::Postgres(url)) => Some(url),
            _ => None,
        };
        for (field, url) in [("database_url", main), ("database_direct_url", self.database_direct_url.as_ref())] {
            if url.is_some_and(|url| has_password(&url.0)) && matches!(origins.of(field), Origin::Flag) {
                let problem = "every user of the machine can read a password on the command line; give it by PGPASSWORD or \
                               a password file, or the whole address by the environment variable";
                return Err(CommandFailure::bad_input(origins.subject(field), problem));
            }
        }
        Ok(self.database_url.clone().map(|named| match named {
            NamedDatabase::File(file) => DatabaseAddress::File(file),
            NamedDatabase::Postgres(PostgresUrl(address)) => {
                let direct = self.database_direct_url.clone().map(|url| url.0);
                DatabaseAddress::Postgres { address, direct, expired_leases: self.expired_leases }
            }
        }))
    }

    /// The PostgreSQL database that was named.
    ///
    /// # Errors
    /// When none was; those of [`DatabaseFlag::address`].
    pub fn shared(&self, origins: &Origins) -> Result<DatabaseAddress, CommandFailure> {
        if let Some(address @ DatabaseAddress::Postgres { .. }) = self.address(origins)? {
            return Ok(address);
        }
        let problem = "name the PostgreSQL database that hosts share, such as postgres://afterimage@db.example/queue";
        Err(CommandFailure::bad_input(origins.subject("database_url"), problem))
    }
}

/// Whether the login of an address has a password.
fn has_password(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let in_login = rest.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'));
    in_login || rest.split_once('?').is_some_and(|(_, query)| query.contains("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen() {
        for (address, has) in [
            ("postgres://user:secret@host/name", true),
            ("postgres://user@host:5432,other:5433/name", false),
            ("postgres:///name?host=/run", false),
            ("postgres://user@host/name?password=secret", true),
            ("postgres://user:pa?ss@host/name", true),
            ("postgres://user:p/a@host/name", true),
        ] {
            assert_eq!(has_password(address), has, "{address}");
        }
    }
}
