//! What a database has used up so far.

use crate::postgres::Server;
use sqlx::{Connection, PgConnection, Row};

/// The clock that Linux counts processor time by, at every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Readings; differences of two are what was used in between.
pub struct Counters {
    pub commits: i64,
    pub log_bytes: i64,
    pub connections: i64,
    /// Processor time of all processes of the server.
    pub server_seconds: f64,
    /// Processor time of this process.
    pub own_seconds: f64,
    /// What all cores of the machine had nothing to do for.
    pub idle_seconds: f64,
}

impl Counters {
    pub async fn of(server: &Server, name: &str) -> Self {
        let mut connection = PgConnection::connect(&server.address("postgres")).await.unwrap();
        let row = sqlx::query(
            "SELECT xact_commit AS commits, numbackends::BIGINT AS connections, \
             pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::BIGINT AS bytes \
             FROM pg_stat_database WHERE datname = $1",
        )
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
        Self {
            commits: row.get("commits"),
            log_bytes: row.get("bytes"),
            connections: row.get("connections"),
            server_seconds: seconds_of_family(server.process()),
            own_seconds: usage("self").map_or(0.0, |usage| usage.seconds),
            idle_seconds: idle_seconds(),
        }
    }
}

struct Usage {
    parent: u32,
    seconds: f64,
    /// Of children that have ended.
    seconds_of_ended: f64,
}

/// Processor time of a process, of its children, and of those of them that have ended.
fn seconds_of_family(process: u32) -> f64 {
    let own = usage(&process.to_string()).map_or(0.0, |own| own.seconds + own.seconds_of_ended);
    let others = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = others.filter_map(|entry| usage(entry.file_name().to_str()?));
    own + children.filter(|child| child.parent == process).map(|child| child.seconds).sum::<f64>()
}

/// `None` for what is no process, or where there is no such folder.
fn usage(process: &str) -> Option<Usage> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may have any characters in it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let seconds = |index: usize| fields.get(index)?.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_SECOND);
    Some(Usage {
        parent: fields.get(1)?.parse().ok()?,
        seconds: seconds(11)? + seconds(12)?,
        seconds_of_ended: seconds(13)? + seconds(14)?,
    })
}

fn idle_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let idle = text.lines().next().and_then(|line| line.split_whitespace().nth(4)?.parse::<f64>().ok());
    idle.unwrap_or_default() / TICKS_PER_SECOND
}
