//! A host of pictures that tasks name, on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How it answers.
#[derive(Clone)]
pub enum Manner {
    /// With this status and file.
    Whole(&'static str, Vec<u8>),
    /// With the beginning of a picture, then a byte every second.
    Trickle,
}

/// A running host; it goes when this is dropped.
pub struct PictureHost {
    /// Address of its picture.
    pub url: String,
    manner: Arc<Mutex<Manner>>,
    requests: Arc<AtomicUsize>,
    hung_up: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl PictureHost {
    /// Starts one that answers every request in the same manner.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/picture.png", listener.local_addr().unwrap());
        let manner = Arc::new(Mutex::new(manner));
        let (requests, hung_up): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (current, counted, ended) = (Arc::clone(&manner), Arc::clone(&requests), Arc::clone(&hung_up));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (manner, ended) = (current.lock().unwrap().clone(), Arc::clone(&ended));
                connections.spawn(async move {
                    if answer(stream, manner).await.is_err() {
                        ended.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { url, manner, requests, hung_up, task }
    }

    /// Answers further requests in another manner.
    pub fn becomes(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Connections so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Connections that the other side ended before it had everything.
    pub fn hung_up(&self) -> usize {
        self.hung_up.load(Ordering::SeqCst)
    }
}

impl Drop for PictureHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut request = vec![0; 4096];
    let _ = stream.read(&mut request).await?;
    match manner {
        Manner::Whole(status, file) => {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", file.len());
            stream.write_all(&[head.as_bytes(), &file].concat()).await?;
        }
        Manner::Trickle => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\x02\0\0\0";
            stream.write_all(head).await?;
            loop {
                // Nothing more comes from a client, except its end.
                match tokio::time::timeout(Duration::from_secs(1), stream.read(&mut request)).await {
                    Ok(Ok(0) | Err(_)) => return Err(std::io::ErrorKind::ConnectionReset.into()),
                    Ok(Ok(_)) => {}
                    Err(_) => stream.write_all(b"\0").await?,
                }
            }
        }
    }
    stream.shutdown().await
}
