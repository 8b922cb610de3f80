//! What is done to the processes, and when.

use crate::processes::signal;
use crate::server::Server;
use std::time::Duration;
use tokio::time::sleep;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    Server,
    Engine,
    Both,
}

/// A process that stands still for a while, as under a debugger or on a machine that swaps.
#[derive(Clone, Copy, Debug)]
pub enum Pause {
    /// Long enough, the server takes it for hung and kills it.
    Engine(Duration),
    /// Long enough, leases run out although their holder lives.
    Server(Duration),
}

/// One round: time to work, perhaps a pause, a kill.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub after: Duration,
    pub pause: Option<Pause>,
    pub blow: Blow,
    /// Time until the server is started again.
    pub down: Duration,
}

impl Round {
    /// A random round. `with_long_pauses`: some last longer than leases and the patience with a silent engine.
    pub fn draw(random: &mut fastrand::Rng, with_long_pauses: bool) -> Self {
        // Some hit a server that has barely started, the others one amid its jobs.
        let longest = if random.u8(..4) == 0 { 150 } else { 2500 };
        let after = Duration::from_millis(random.u64(..longest));
        let pause = (random.u8(..8) == 0).then(|| Pause::draw(random, with_long_pauses));
        let blow = [Blow::Server, Blow::Engine, Blow::Both][random.usize(..3)];
        let down = Duration::from_millis(if random.bool() { 0 } else { random.u64(..500) });
        Self { after, pause, blow, down }
    }
}

impl Pause {
    fn draw(random: &mut fastrand::Rng, with_long: bool) -> Self {
        let long = with_long && random.u8(..4) == 0;
        let length = Duration::from_millis(if long { random.u64(11_000..16_000) } else { random.u64(100..1500) });
        if random.bool() { Self::Engine(length) } else { Self::Server(length) }
    }

    /// Stops the process and lets it go on.
    pub async fn happen(self, server: &Server) {
        let (pids, length) = match self {
            Self::Engine(length) => (server.engines(), length),
            Self::Server(length) => (vec![server.pid()], length),
        };
        signal("-STOP", &pids);
        sleep(length).await;
        signal("-CONT", &pids);
    }
}
