//! From host names to addresses, behind a trait so that tests can lie like a hostile name server.

use crate::shares::Shares;
use afterimage_jobs::KeyId;
use async_trait::async_trait;
use std::fmt::{self, Debug};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use tokio::sync::oneshot;

/// Look-ups at once.
const LOOKUPS: u64 = 32;

/// Look-ups at once on behalf of one key.
const LOOKUPS_OF_A_KEY: u64 = 4;

/// Looks up host names.
#[async_trait]
pub trait Resolve: Debug + Send + Sync + 'static {
    /// All addresses of `host`, a domain name as it stands in a URL, on behalf of `key`, if it is one's.
    ///
    /// # Errors
    /// When the name does not exist or its servers do not answer.
    async fn resolve(&self, key: Option<&KeyId>, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// What asks the operating system, and blocks while it does.
type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The operating system's resolver. It cannot be interrupted: a look-up whose server is silent takes its thread for as
/// long as the system waits, though whoever asked is gone. So there is a bounded number of threads for nothing else, and
/// each key has a few of them at most.
#[derive(Clone)]
pub struct SystemResolver {
    turns: Shares<Option<KeyId>>,
    look_up: Arc<LookUp>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new(|host| Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }
}

impl SystemResolver {
    fn new(look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self { turns: Shares::new(LOOKUPS, LOOKUPS_OF_A_KEY), look_up: Arc::new(look_up) }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, key: Option<&KeyId>, host: &str) -> io::Result<Vec<IpAddr>> {
        let turn = self.turns.acquire(&key.cloned(), 1).await;
        let (look_up, host) = (Arc::clone(&self.look_up), host.to_owned());
        let (sender, found) = oneshot::channel();
        thread::Builder::new().name("look-up".to_owned()).spawn(move || {
            let addresses = look_up(&host);
            drop(turn);
            // Whoever asked may be gone.
            let _ = sender.send(addresses);
        })?;
        found.await.map_err(|_| io::Error::other("the look-up ended without an answer"))?
    }
}

impl Debug for SystemResolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SystemResolver").field("turns", &self.turns).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn silent_name_servers_of_one_key_do_not_hold_up_others() {
        // How many hang, and whether the server answers by now.
        let server = Arc::new((Mutex::new((0_u64, false)), Condvar::new()));
        let silent = Arc::clone(&server);
        let resolver = SystemResolver::new(move |host| {
            if host.starts_with("silent") {
                let mut state = silent.0.lock().unwrap();
                state.0 += 1;
                silent.1.notify_all();
                while !state.1 {
                    state = silent.1.wait(state).unwrap();
                }
            }
            Ok(vec![IpAddr::from([1, 1, 1, 1])])
        });
        let [one, other] = ["a", "b"].map(KeyId::from);
        for number in 0..100 {
            let name = format!("silent{number}.example");
            // Asked, and gone before an answer.
            assert!(resolver.resolve(Some(&one), &name).now_or_never().is_none());
        }
        let hanging = server.1.wait_while(server.0.lock().unwrap(), |hanging| hanging.0 < LOOKUPS_OF_A_KEY);
        drop(hanging.unwrap());
        let found = timeout(Duration::from_secs(20), resolver.resolve(Some(&other), "public.example")).await.unwrap();
        assert_eq!(found.unwrap().len(), 1);
        server.0.lock().unwrap().1 = true;
        server.1.notify_all();
        let found = timeout(Duration::from_secs(20), resolver.resolve(Some(&one), "public.example")).await.unwrap();
        assert!(found.is_ok());
        assert_eq!(server.0.lock().unwrap().0, LOOKUPS_OF_A_KEY, "who went away was served all the same");
    }

    #[tokio::test]
    async fn the_systems_resolver_knows_this_machine() {
        let found = SystemResolver::default().resolve(None, "localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
    }
}
