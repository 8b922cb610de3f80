//! Where a database is, as an address says it: `postgres://user@host:port,host:port/name?pooler=transaction&sslmode=…`.

use crate::{Error, Result};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::str::FromStr;

/// What is set for every connection unless a pooler is in between, which lets it through for roles only. A host that
/// vanishes within a transaction must not keep rows locked: others wait for 5 s at most.
///
/// Statements are planned once for each connection: what they look for, the indexes say, and planning a claim takes longer than
/// the claim does. PostgreSQL would plan anew each time, since it takes the values of the moment for a better bargain.
const SETTINGS: [(&str, &str); 7] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("statement_timeout", "10s"),
    ("lock_timeout", "2s"),
    ("tcp_keepalives_idle", "3"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "3"),
];

/// A database on one or several hosts, of which one writes.
#[derive(Clone)]
pub(super) struct PostgresAddress {
    hosts: Vec<PgConnectOptions>,
    /// Whether a pooler in transaction mode is in between.
    pub(super) is_pooled: bool,
}

impl PostgresAddress {
    /// What `text` says.
    ///
    /// # Errors
    /// [`Error::Address`], without the password.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let problem = |reason: String| Error::Address { reason };
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| problem("it must begin with postgres://".to_owned()))?;
        let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, query)| (place, query));
        if query.contains('@') {
            // It may be half of a password.
            let reason = "an `@`, `?` or `/` in a login is written as %40, %3F or %2F, an `@` in an option as %40";
            return Err(problem(reason.to_owned()));
        }
        let (login, place) = place.rsplit_once('@').map_or(("", place), |(login, place)| (login, place));
        let (names, path) = place.split_once('/').map_or((place, ""), |(names, path)| (names, path));
        check_options(query)?;
        let (is_pooled, query) = take_pooler(query)?;
        let login = if login.is_empty() { String::new() } else { format!("{login}@") };
        let chooses_tls = query.split('&').any(|pair| pair.starts_with("sslmode=") || pair.starts_with("ssl-mode="));
        let mut hosts = Vec::new();
        for name in names.split(',') {
            let one = format!("postgres://{login}{name}/{path}?{query}");
            // The parser's own words may repeat the password.
            let options = PgConnectOptions::from_str(&one).map_err(|_| {
                problem(format!("`{name}/{path}` is no host, port and database, or an option is wrong"))
            })?;
            let options =
                if chooses_tls || is_here(&options) { options } else { options.ssl_mode(PgSslMode::VerifyFull) };
            let options = options.application_name("afterimage");
            hosts.push(options);
        }
        Ok(Self { hosts, is_pooled })
    }

    /// Where to listen: past a pooler if there is one; `direct` is the way there.
    ///
    /// # Errors
    /// As [`PostgresAddress::parse`].
    pub(super) fn direct(&self, direct: Option<&str>) -> Result<Option<Self>> {
        match direct {
            Some(direct) => Self::parse(direct).map(Some),
            None if self.is_pooled => Ok(None),
            None => Ok(Some(self.clone())),
        }
    }

    /// How to connect to each host, for a moment.
    pub(super) fn hosts(&self) -> &[PgConnectOptions] {
        &self.hosts
    }

    /// How to connect to each host, for work; at least one.
    pub(super) fn for_work(&self) -> Vec<PgConnectOptions> {
        let hosts = self.hosts.iter().cloned();
        if self.is_pooled {
            hosts.map(|host| host.statement_cache_capacity(0)).collect()
        } else {
            hosts.map(|host| host.options(SETTINGS)).collect()
        }
    }
}

/// Options that sqlx knows. It passes over others, and tells the log what they say, which may be a secret under a name that was
/// spelled wrong.
const OPTIONS: [&str; 19] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "pooler",
];

/// Refuses options that nobody reads.
fn check_options(query: &str) -> Result<()> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if !OPTIONS.contains(&name) && !name.starts_with("options[") {
            let reason = format!("the option `{name}` is not known; those of PostgreSQL are, and `pooler`");
            return Err(Error::Address { reason });
        }
    }
    Ok(())
}

/// The pooler that the query names, and the rest of it.
fn take_pooler(query: &str) -> Result<(bool, String)> {
    let mut is_pooled = false;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("pooler", "transaction")) => is_pooled = true,
            Some(("pooler", other)) => {
                let reason = format!("`pooler={other}` is not known; `pooler=transaction` is");
                return Err(Error::Address { reason });
            }
            _ => rest.push(pair),
        }
    }
    Ok((is_pooled, rest.join("&")))
}

/// Whether nobody can listen on the way there.
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_hosts_database_and_pooler() {
        let address =
            PostgresAddress::parse("postgres://u:p@db1:5433,db2/queue?pooler=transaction&sslmode=disable").unwrap();
        assert!(address.is_pooled);
        let hosts: Vec<_> = address.hosts().iter().map(|host| (host.get_host().to_owned(), host.get_port())).collect();
        assert_eq!(hosts, [("db1".to_owned(), 5433), ("db2".to_owned(), 5432)]);
        assert_eq!(address.hosts()[1].get_database(), Some("queue"));
        assert!(!PostgresAddress::parse("postgres:///queue?host=/run/postgresql").unwrap().is_pooled);
    }

    #[test]
    fn what_is_far_is_encrypted_unless_the_address_says_otherwise() {
        let mode = |text: &str| format!("{:?}", PostgresAddress::parse(text).unwrap().hosts()[0].get_ssl_mode());
        assert_eq!(mode("postgres://u@db1/queue"), "VerifyFull");
        assert_eq!(mode("postgres://u@db1/queue?sslmode=require"), "Require");
        assert_eq!(mode("postgres://u@127.0.0.1/queue"), "Prefer");
        assert_eq!(mode("postgres://u@localhost/queue"), "Prefer");
    }

    #[test]
    fn a_wrong_address_is_named_without_its_password() {
        for (text, part) in [
            ("mysql://u@h/x", "postgres://"),
            ("postgres://u:secret@h:port/x", "h:port/x"),
            ("postgres://u:sec?secret@h/x", "%3F"),
            ("postgres://u:secret@h/x?pooler=session", "pooler=session"),
            ("postgres://u:secret@h/x?sslmode=perhaps", "option"),
            ("postgres://u@h/x?pasword=secret", "`pasword`"),
            ("postgres://u@h/x?sslmode=require&foo=secret", "`foo`"),
        ] {
            let message = PostgresAddress::parse(text).err().expect("a refusal").to_string();
            assert!(message.contains(part) && !message.contains("secret"), "{message}");
        }
    }
}
