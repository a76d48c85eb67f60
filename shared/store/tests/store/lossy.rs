//! A network that loses answers: the SDK sends again what has already happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{DynamoStore, Entity, Expect, Key, Store, StoreError, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::emulator::Emulator;
use crate::samples::{head, name};

/// Passes everything on, except one answer after `lose` was set.
struct Lossy {
    port: u16,
    lose: Arc<AtomicBool>,
}

impl Lossy {
    async fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lose = Arc::new(AtomicBool::new(false));
        let losing = lose.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, upstream, losing.clone()));
            }
        });
        Self { port, lose }
    }

    fn lose_next(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }

    fn lost(&self) -> bool {
        !self.lose.load(Ordering::SeqCst)
    }
}

async fn relay(client: TcpStream, upstream: u16, lose: Arc<AtomicBool>) {
    let server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut answer = vec![0; 65_536];
    while let Ok(length @ 1..) = from_server.read(&mut answer).await {
        // Whoever answers has done it: now the client never hears of it.
        if lose.swap(false, Ordering::SeqCst) || to_client.write_all(&answer[..length]).await.is_err() {
            break;
        }
    }
    requests.abort();
}

pub async fn run(emulator: &Emulator) {
    let network = Lossy::before(emulator.port).await;
    let store = DynamoStore::new(emulator.client(network.port), emulator.table().await);
    let put = |pipeline: &str, expect| Write::Put { entity: Entity::Head(head(pipeline)), expect };
    let delete = |pipeline: &str, expect| Write::Delete { key: Key::Head(name(pipeline)), expect };

    // Each of these would fail at its own first try's success.
    let commits = [
        vec![put("a", Expect::Absent)],
        vec![put("a", Expect::Revision(1))],
        vec![put("b", Expect::Absent), put("a", Expect::Revision(2))],
        vec![delete("b", Expect::Revision(1))],
    ];
    for commit in commits {
        network.lose_next();
        assert_eq!(store.commit(commit.clone()).await, Ok(()), "{commit:?}");
        assert!(network.lost(), "no answer was lost: {commit:?}");
    }
    let found = store.load(&[Key::Head(name("a")), Key::Head(name("b"))]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().revision, 3, "each happened once");
    assert_eq!(found[1], None);

    // What really fails still does.
    network.lose_next();
    assert!(matches!(store.commit(vec![put("a", Expect::Absent)]).await, Err(StoreError::Conflict(_))));
    network.lose_next();
    let both = vec![put("c", Expect::Absent), put("a", Expect::Revision(2))];
    assert!(matches!(store.commit(both).await, Err(StoreError::Conflict(_))));
    assert_eq!(store.load(&[Key::Head(name("c"))]).await.unwrap(), [None]);
}
