//! How many wait for the same jobs.

use crate::host::{Host, blobs, database};
use crate::postgres::server;
use crate::waiting::until;
use afterimage_jobs::PostgresOptions;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_those_of_all_who_run_the_same_models() {
    let Some(server) = server() else { return };
    let address = server.address(&database(server).await);
    let start = async |slots| Host::announcing(&address, &blobs(), slots, PostgresOptions::default()).await;
    let (_many, api) = (start(300).await, start(0).await);
    let models = ["dev".to_owned(), "default".to_owned()];
    let are_counted = async |slots| api.store.slots_of(&models).await.unwrap() == slots;
    until("one has said what it is", Duration::from_secs(10), async || are_counted(300).await).await;
    // It counts the others when it starts, and then once a minute.
    let one = start(16).await;
    until("all have said what they are", Duration::from_secs(10), async || are_counted(316).await).await;
    for none in [&models[..1], &[]] {
        assert_eq!(api.store.slots_of(none).await.unwrap(), 0, "{none:?}");
    }
    // Looks of 316 idle slots are 10 ms apart.
    let looks_seldom = async || one.hints.look_every().is_some_and(|pause| pause == Duration::from_millis(3160));
    until("it looks less often than it would alone", Duration::from_secs(10), looks_seldom).await;
}
