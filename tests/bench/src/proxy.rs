//! A proxy in front of the emulator that counts the write requests which functions send to DynamoDB.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What a request asks for, after `X-Amz-Target: DynamoDB_20120810.`. Each is one request, however many items it has.
const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];

/// A running proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// The `http://` address that it listens on.
    pub url: String,
    writes: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Proxy {
    /// Listens on a free port and leads to `endpoint`, an `http://` address.
    ///
    /// # Errors
    /// When there is no port, or the endpoint is of another kind.
    pub async fn start(endpoint: &str) -> Result<Self> {
        let target = endpoint.strip_prefix("http://").context("the proxy leads to http:// only")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let writes = Arc::new(AtomicU64::new(0));
        let counter = writes.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, counter) = (target.clone(), counter.clone());
                // A connection that breaks is the client's to see.
                tokio::spawn(async move { pass(client, &target, &counter).await });
            }
        });
        Ok(Self { url, writes, task: task.abort_handle() })
    }

    /// How many write requests have come so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, target: &str, counter: &AtomicU64) -> Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    tokio::select! {
        done = requests(BufReader::new(from_client), to_server, counter) => done?,
        done = tokio::io::copy(&mut from_server, &mut to_client) => { done?; }
    }
    Ok(())
}

/// Passes request after request on, counting those that write.
async fn requests(mut from: BufReader<OwnedReadHalf>, mut to: OwnedWriteHalf, counter: &AtomicU64) -> Result<()> {
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let begin = head.len();
            if from.read_until(b'\n', &mut head).await? == 0 {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&head[begin..]);
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "transfer-encoding" => bail!("DynamoDB's clients say how long a request is"),
                "x-amz-target" if writes(value.trim()) => {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
        }
        to.write_all(&head).await?;
        tokio::io::copy(&mut (&mut from).take(length), &mut to).await?;
    }
}

fn writes(target: &str) -> bool {
    target.strip_prefix("DynamoDB_20120810.").is_some_and(|operation| WRITES.contains(&operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends two requests through one connection to a server that answers the first line of each.
    #[tokio::test]
    async fn requests_pass_unchanged_and_writes_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Proxy::start(&endpoint).await.unwrap();
        let sent = "POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.UpdateItem\r\nContent-Length: 9\r\n\r\n{\"a\":\r\n1}\
                    POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.GetItem\r\ncontent-length: 2\r\n\r\n{}";
        let mut client = TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut received = vec![0; sent.len()];
        server.read_exact(&mut received).await.unwrap();
        assert_eq!(String::from_utf8(received).unwrap(), sent);
        server.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        assert_eq!(proxy.writes(), 1);
    }

    #[test]
    fn only_requests_that_write_count() {
        assert!(writes("DynamoDB_20120810.TransactWriteItems"));
        for other in ["DynamoDB_20120810.BatchGetItem", "DynamoDB_20120810.TransactGetItems", "AWSEvents.PutEvents"] {
            assert!(!writes(other), "{other}");
        }
    }
}
