//! Submits at a steady rate amid connections that idle and connections that hardly move.

use super::target::{AnyError, Target, steadily};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What a connection does that only holds its place.
#[derive(Clone, Copy)]
enum Burden {
    /// One request, then nothing.
    Idle,
    /// A header that grows by one byte a second.
    SlowHead,
    /// A body that grows by one byte a second.
    SlowBody,
}

/// How often connections were opened, and how often the server did not take one.
#[derive(Default)]
struct Count {
    opened: AtomicU64,
    refused: AtomicU64,
}

/// Half of `connections` submit in turn, each over a connection of its own; a quarter idles, an eighth each sends a header or
/// a body byte by byte. Those that the server closes are opened again, so that their number stays.
pub async fn crowd(target: &Arc<Target>, rate: u64, seconds: u64, connections: u64) -> Result<Value, AnyError> {
    let address = target.url.strip_prefix("http://").ok_or("the crowd needs a URL that begins with http://")?;
    let counts: [Arc<Count>; 3] = Default::default();
    let mut burdens = JoinSet::new();
    for number in 0..connections / 2 {
        let (kind, burden) = match number % 4 {
            0 | 1 => (0, Burden::Idle),
            2 => (1, Burden::SlowHead),
            _ => (2, Burden::SlowBody),
        };
        burdens.spawn(hold(address.to_owned(), target.key.clone(), burden, Arc::clone(&counts[kind])));
    }

    let clients: Vec<reqwest::Client> = (0..(connections / 2).max(1))
        .map(|_| {
            let builder = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).pool_idle_timeout(None);
            // No HTTPS here: reading the system's certificates for each would take seconds.
            builder.tls_certs_only([]).build()
        })
        .collect::<Result<_, _>>()?;
    let (series, seconds) = steadily(rate, seconds, |number| {
        let target = Arc::clone(target);
        let client = clients[number as usize % clients.len()].clone();
        async move { target.submit_over(&client, false).await }
    })
    .await?;
    burdens.shutdown().await;

    let count = |kind: usize| {
        let count = &counts[kind];
        json!({"opened": count.opened.load(Ordering::Relaxed), "refused": count.refused.load(Ordering::Relaxed)})
    };
    Ok(json!({
        "rate": rate,
        "seconds": seconds,
        "connections": connections,
        "submit": series.figures(),
        "idle": count(0),
        "slow_head": count(1),
        "slow_body": count(2),
    }))
}

/// Holds one connection for ever; opens another when the server ends it.
async fn hold(address: String, key: String, burden: Burden, count: Arc<Count>) {
    loop {
        match TcpStream::connect(&address).await {
            Ok(stream) => {
                count.opened.fetch_add(1, Ordering::Relaxed);
                // That the server ends it is what is expected of slow ones.
                let _ = burden_connection(stream, &key, burden).await;
            }
            Err(_) => {
                count.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Runs until the server closes the connection.
async fn burden_connection(mut stream: TcpStream, key: &str, burden: Burden) -> std::io::Result<()> {
    let start = match burden {
        Burden::Idle => "GET /healthz HTTP/1.1\r\nHost: crowd\r\n\r\n".to_owned(),
        Burden::SlowHead => "GET /healthz HTTP/1.1\r\nHost: crowd\r\nX-Slow: ".to_owned(),
        Burden::SlowBody => format!(
            "POST /api/v3/wavespeed-ai/flux-redux-dev HTTP/1.1\r\nHost: crowd\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{{\"image\": \""
        ),
    };
    stream.write_all(start.as_bytes()).await?;
    let (mut incoming, mut outgoing) = stream.into_split();
    let drip = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            if !matches!(burden, Burden::Idle) {
                outgoing.write_all(b"a").await?;
            }
        }
    };
    let mut buffer = [0; 1024];
    let closed = async {
        while incoming.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    tokio::select! {
        ended = drip => ended,
        ended = closed => ended,
    }
}
