//! Carries hints from and to other hosts by the database's channel.
//!
//! Whoever listens may be deaf without knowing: a pooler in between, a connection that died silently. So each process says
//! something to itself now and then; while it does not hear that, it looks at the store more often.

use super::last_heard::LastHeard;
use super::news::{self, Notice};
use crate::PostgresStore;
use crate::worker::{Hints, News};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// How long news are gathered before they are sent together: telling takes a lock of the whole database.
const GATHER_FOR: Duration = Duration::from_millis(50);

/// News that are sent at once.
const MOST_AT_ONCE: usize = 1024;

/// How often a process finds out whether it hears.
const ECHO_EVERY: Duration = Duration::from_secs(5);

/// How long its own word may take to come back.
const ECHO_WITHIN: Duration = Duration::from_secs(2);

/// Looks at the store while news are heard, and while they are not.
pub(super) const LOOK_WHEN_HEARING: Duration = Duration::from_secs(2);
pub(super) const LOOK_WHEN_DEAF: Duration = Duration::from_millis(500);

/// The pause after a connection that was not to be had.
const RETRY: Duration = Duration::from_secs(1);

/// Sends on what is told here, for ever.
pub(super) async fn tell(store: PostgresStore, me: String, mut outlet: mpsc::Receiver<News>) {
    let mut gathered = Vec::new();
    while outlet.recv_many(&mut gathered, MOST_AT_ONCE).await > 0 {
        sleep(GATHER_FOR).await;
        while gathered.len() < MOST_AT_ONCE
            && let Ok(more) = outlet.try_recv()
        {
            gathered.push(more);
        }
        let mut seen = std::collections::HashSet::new();
        // Each job calls on a few of those who wait, so there are as many news as jobs.
        gathered.retain(|news| matches!(news, News::Submitted(_)) || seen.insert(news.clone()));
        for text in news::texts(&me, &gathered) {
            if let Err(error) = store.notify(text).await {
                tracing::debug!(%error, "other hosts are not told; they look by themselves");
            }
        }
        gathered.clear();
    }
}

/// Listens to other hosts, for ever.
pub(super) async fn listen(store: PostgresStore, me: String, hints: Arc<Hints>, heard: LastHeard) {
    hints.set_look_every(LOOK_WHEN_DEAF);
    loop {
        let error = match store.listen().await {
            Ok(mut listener) => {
                // What was said meanwhile is not known.
                hints.submitted_somewhere();
                hints.hear(&News::Awaiting);
                let error = hear(&store, &me, &hints, &heard, &mut listener).await;
                tracing::warn!(%error, "news of other hosts are not heard; jobs and ends are found by looking");
                error
            }
            Err(error) => error.to_string(),
        };
        hints.set_look_every(LOOK_WHEN_DEAF);
        tracing::debug!(%error, "listening again");
        sleep(RETRY).await;
    }
}

/// Hears until that does not work any more; why.
async fn hear(
    store: &PostgresStore,
    me: &str,
    hints: &Hints,
    heard: &LastHeard,
    listener: &mut sqlx::postgres::PgListener,
) -> String {
    let mut count: u64 = 0;
    let mut next_echo = Instant::now();
    let mut awaited: Option<Instant> = None;
    loop {
        tokio::select! {
            said = listener.try_recv() => match said {
                Ok(Some(notification)) => {
                    let Notice { from, echo, news } = news::read(notification.payload());
                    if from != me {
                        for one in &news {
                            hints.hear_with_others(one);
                        }
                    } else if echo == Some(count.to_string()) {
                        awaited = None;
                        heard.note();
                        hints.set_look_every(LOOK_WHEN_HEARING);
                    }
                }
                Ok(None) => return "the connection was lost".to_owned(),
                Err(error) => return error.to_string(),
            },
            () = sleep_until(next_echo), if awaited.is_none() => {
                count += 1;
                next_echo = Instant::now() + ECHO_EVERY;
                if let Err(error) = store.notify(news::echo(me, &count.to_string())).await {
                    return error.to_string();
                }
                awaited = Some(Instant::now() + ECHO_WITHIN);
            }
            () = sleep_until(awaited.unwrap_or(next_echo)), if awaited.is_some() => {
                return "what was said was not heard".to_owned();
            }
        }
    }
}
