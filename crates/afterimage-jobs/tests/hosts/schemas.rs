//! Programs and schemas of different versions, several that migrate, several that want to be first.

use crate::host::{database, job};
use crate::postgres::server;
use afterimage_jobs::{
    Error, Fenced, JobStore, KeyStore, ListFilter, NewKey, PostgresOptions, PostgresStore, Renewed, UNNAMED, Upkeep,
    WorkerId,
};
use std::time::Duration;
use tokio::task::JoinSet;

async fn open(address: &str) -> afterimage_jobs::Result<PostgresStore> {
    PostgresStore::open(address, PostgresOptions { connections: 2, ..PostgresOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_migrate_at_once_and_again() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let address = server.address(&name);
    let all = futures_util::future::join_all((0..8).map(|_| PostgresStore::migrate(&address))).await;
    assert!(all.into_iter().all(|outcome| outcome.is_ok()));
    open(&server.address(&name)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_works_on_a_schema_that_serves_it_and_refuses_others() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let address = server.address(&name);
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (3, 'of a later release', TRUE, '\\x00', 0)";
    server.execute(&name, newer.to_owned()).await;
    open(&address).await.expect("the later schema serves this program");
    // Whoever migrates with the older program by mistake changes nothing.
    PostgresStore::migrate(&address).await.unwrap();
    server.execute(&name, "UPDATE settings SET value = '3' WHERE name = 'oldest schema served'".to_owned()).await;
    let refused = open(&address).await.err().expect("a refusal");
    assert!(matches!(refused, Error::Schema { found: Some(3), known: 2 }), "{refused}");
    assert!(refused.to_string().contains("newer program"), "{refused}");
    let empty = format!("{name}_empty");
    server.execute("postgres", format!("CREATE DATABASE {empty}")).await;
    let refused = open(&server.address(&empty)).await.err().expect("a refusal");
    assert!(refused.to_string().contains("afterimage migrate"), "{refused}");
}

/// A later release may add columns to tables of which running servers have prepared statements.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_added_under_a_running_server_disturbs_nobody() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let store = open(&server.address(&name)).await.unwrap();
    let (key, secret) = store.create_key(NewKey::default()).await.unwrap();
    for number in 0..3 {
        // Prepared on as many connections as there are.
        let found = futures_util::future::join_all((0..20).map(|_| store.find_key(secret.expose()))).await;
        assert!(found.into_iter().all(|found| found.unwrap().as_ref() == Some(&key)));
        server.execute(&name, format!("ALTER TABLE keys ADD COLUMN later{number} TEXT NOT NULL DEFAULT ''")).await;
        assert_eq!(store.find_key(secret.expose()).await.unwrap().as_ref(), Some(&key), "column {number}");
    }
}

/// What the servers of the schema before do goes on while the next one comes: the statements that they prepared are
/// answered as before.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_servers_of_before_prepared_are_answered_after_the_migration() {
    use sqlx::{Connection, Executor, PgConnection};
    const BEFORE: &str = include_str!("../../src/store/postgres/migrations/0001_queue.sql");
    const NEXT: &str = include_str!("../../src/store/postgres/migrations/0002_operators.sql");
    let Some(server) = server() else { return };
    let name = format!("before_{}", database(server).await);
    server.execute("postgres", format!("CREATE DATABASE {name}")).await;
    server.execute(&name, BEFORE.to_owned()).await;
    let keys = "INSERT INTO keys (id, name, secret_sha256, created_at, revoked_at) VALUES ('a', 'first', 'a', 1, NULL), \
                ('b', 'first', 'b', 2, NULL), ('c', 'from the command line', 'c', 3, NULL), \
                ('d', 'from the command line', 'd', 4, 5), ('e', 'shop', 'e', 5, NULL)";
    server.execute(&name, keys.to_owned()).await;
    let mut connection = PgConnection::connect(&server.address(&name)).await.unwrap();
    let prepared = async |connection: &mut PgConnection| {
        let query = sqlx::query("SELECT * FROM keys WHERE secret_sha256 = $1 AND revoked_at IS NULL").bind("a");
        connection.fetch_all(query).await.unwrap().len()
    };
    assert_eq!(prepared(&mut connection).await, 1);
    server.execute(&name, NEXT.to_owned()).await;
    assert_eq!(prepared(&mut connection).await, 1);
    let operators: Vec<String> =
        sqlx::query_scalar("SELECT key_id FROM key_roles ORDER BY key_id").fetch_all(&mut connection).await.unwrap();
    assert_eq!(operators, ["a", "c"], "the first of all, and what was given to a server");
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_goes_on_while_a_later_one_adds_columns() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let store = open(&server.address(&name)).await.unwrap();
    let (key, secret) = store.create_key(NewKey::default()).await.unwrap();
    let worker = WorkerId::random();
    // All that a program does often, several times, so that all of its connections know the statements.
    let round = async || {
        let known = futures_util::future::join_all((0..8).map(|_| store.find_key(secret.expose()))).await;
        assert!(known.into_iter().all(|key| key.unwrap().is_some()));
        let id = store.submit(job(&key.id, 1)).await.unwrap().into_job().id;
        let claimed = store.claim(&worker, &UNNAMED, Duration::from_mins(1)).await.unwrap().unwrap();
        assert_eq!(claimed.id, id);
        let renewed = store.renew(&claimed.lease(&worker), Duration::from_mins(1)).await.unwrap();
        assert_eq!(renewed, Renewed::Held { cancel_requested: false });
        store.cancel(&key.id, &id).await.unwrap();
        assert_eq!(store.cancelled(&claimed.lease(&worker)).await.unwrap(), Fenced::Done);
        store.list(&key.id, &ListFilter::default()).await.unwrap();
    };
    for number in 0..3 {
        round().await;
        for table in ["keys", "jobs", "job_inputs", "job_results", "uploads", "deliveries"] {
            server.execute(&name, format!("ALTER TABLE {table} ADD COLUMN later_{number} TEXT")).await;
        }
    }
    round().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_together_make_one_first_key_and_take_turns() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let store = open(&server.address(&name)).await.unwrap();
        all.spawn(async move {
            let first = store.create_first_key(NewKey::default()).await.unwrap().is_some();
            (first, store.take_turn("sweep", Duration::from_mins(1)).await.unwrap())
        });
    }
    let outcomes = all.join_all().await;
    assert_eq!(outcomes.iter().filter(|(first, _)| *first).count(), 1);
    assert_eq!(outcomes.iter().filter(|(_, turn)| *turn).count(), 1);
    let store = open(&server.address(&name)).await.unwrap();
    assert_eq!(store.keys().await.unwrap().len(), 1);
    // A turn that is over is the next one's.
    server.execute(&name, "UPDATE settings SET value = '0' WHERE name = 'turn: sweep'".to_owned()).await;
    assert!(store.take_turn("sweep", Duration::from_mins(1)).await.unwrap());
}
