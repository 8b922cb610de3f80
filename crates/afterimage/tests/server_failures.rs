//! What the server does when something outside of it fails: ports, folders, disks, files, senders.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

#[path = "server_failures/bucket.rs"]
mod bucket;
#[path = "server_failures/bucket_moods.rs"]
mod bucket_moods;
#[path = "server_failures/cards.rs"]
mod cards;
#[path = "server_failures/disk.rs"]
mod disk;
#[path = "../../afterimage-jobs/tests/support/faketime.rs"]
mod faketime;
#[path = "server_failures/fetching.rs"]
mod fetching;
#[path = "server_failures/hosts.rs"]
mod hosts;
#[path = "support/moody_bucket.rs"]
mod moody_bucket;
#[path = "support/picture_host.rs"]
mod picture_host;
#[path = "../../afterimage-jobs/tests/support/postgres.rs"]
mod postgres;
#[path = "support/processes.rs"]
mod processes;
#[path = "server_failures/requests.rs"]
mod requests;
#[path = "../../afterimage-jobs/tests/support/s3_server.rs"]
mod s3_server;
#[path = "server_failures/secrets.rs"]
mod secrets;
#[path = "server_failures/senders.rs"]
mod senders;
#[path = "support/server.rs"]
mod server;
#[path = "server_failures/starting.rs"]
mod starting;
#[path = "server_failures/stopping.rs"]
mod stopping;
#[path = "server_failures/storage.rs"]
mod storage;
#[path = "server_failures/traces.rs"]
mod traces;
#[path = "../../afterimage-jobs/tests/support/unsteady_proxy.rs"]
mod unsteady_proxy;
#[path = "../../afterimage-jobs/tests/support/waiting.rs"]
mod waiting;
