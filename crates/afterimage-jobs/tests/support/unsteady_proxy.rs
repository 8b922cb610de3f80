//! A connection that can be made bad: passes on, stands still, or breaks.

#![allow(dead_code, reason = "not every test that has this module uses all of it")]

use crate::waiting::until;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};

/// What becomes of bytes, also of connections that are open already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// They arrive.
    Steady,
    /// They arrive, so many a second in each direction; all connections share the line.
    Narrow(u32),
    /// They stay on the way, and nobody is told.
    Stalled,
    /// What the client says arrives, answers stay on the way.
    Deaf,
    /// What the client says stays on the way.
    Unheard,
    /// Connections break, new ones at once.
    Cut,
}

/// Listens, and passes on to one address.
#[derive(Debug)]
pub struct UnsteadyProxy {
    pub address: SocketAddr,
    line: watch::Sender<Line>,
    /// One less than there are references: connections that are open.
    open: Arc<()>,
}

impl UnsteadyProxy {
    /// One before `target`, steady at first. It ends with the runtime.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, watched) = watch::channel(Line::Steady);
        let open = Arc::new(());
        let counted = Arc::downgrade(&open);
        let turns = Arc::new([Mutex::new(()), Mutex::new(())]);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (counted, line, turns) = (counted.upgrade(), watched.clone(), Arc::clone(&turns));
                tokio::spawn(async move {
                    pass(client, target, line, &turns).await;
                    drop(counted);
                });
            }
        });
        Self { address, line, open }
    }

    /// Breaks the connections that are open; the next ones are steady.
    pub async fn break_off(&self) {
        self.set(Line::Cut);
        let none_is_open = async || Arc::strong_count(&self.open) == 1;
        until("every connection is broken off", Duration::from_secs(10), none_is_open).await;
        self.set(Line::Steady);
    }

    /// Makes the line so from now on.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr, line: watch::Receiver<Line>, turns: &[Mutex<()>; 2]) {
    let both_ways = async {
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::join!(
            pump(from_client, to_server, line.clone(), Line::Deaf, &turns[0]),
            pump(from_server, to_client, line.clone(), Line::Unheard, &turns[1]),
        );
    };
    let mut watched = line.clone();
    tokio::select! {
        biased;
        _ = watched.wait_for(|line| *line == Line::Cut) => {}
        () = both_ways => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut line: watch::Receiver<Line>,
    half: Line,
    turn: &Mutex<()>,
) {
    let mut piece = vec![0; 16 << 10];
    let passes = |line: &Line| matches!(line, Line::Steady | Line::Narrow(_)) || *line == half;
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let Ok(now) = line.wait_for(passes).await.map(|now| *now) else { break };
        if let Line::Narrow(bytes) = now {
            let _turn = turn.lock().await;
            // Real time: the line's pace.
            tokio::time::sleep(Duration::from_secs_f64(read as f64 / f64::from(bytes))).await;
        }
        if to.write_all(&piece[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
