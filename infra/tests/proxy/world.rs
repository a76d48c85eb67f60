//! A proxy in front of a gateway.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials as Keys;
use millrace::Account;
use millrace::proxy::{Api, ApiUrl, CloudWatch, Credentials, Logs, Proxy};
use testkit::Aws;
use tokio::task::AbortHandle;

use crate::gateway::Gateway;
use crate::server::{Received, Reply};
use crate::signature::{KEY, REGION, SECRET};

/// Longer than anything takes here on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub gateway: Gateway,
    /// The lines of the proxy's log.
    pub log: Log,
    /// Where the proxy listens.
    pub port: u16,
    _running: Running,
}

/// A port that nobody has, for a process that must be told one. It is none of those that the system hands out by itself, so that
/// nobody gets it in the meantime.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let turn = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + (std::process::id() % 1000 * 31 + turn) % 10_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The lines of a log.
pub type Log = Arc<Mutex<Vec<String>>>;

/// A proxy that runs as long as this lives.
pub struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The credentials that the gateway knows.
pub fn keys() -> Credentials {
    Credentials::new(Keys::new(KEY, SECRET, Some("the session's token".to_owned()), None, "test"))
}

/// Starts a proxy that leads to `url`.
pub async fn proxy(url: &str, credentials: Credentials, patience: Duration) -> (u16, Log, Running) {
    let url: ApiUrl = url.parse().unwrap();
    let api = Api::new(url, REGION.to_owned(), credentials).with_patience(patience);
    serve(Proxy::bind(0, api).await.unwrap())
}

fn serve(proxy: Proxy) -> (u16, Log, Running) {
    let port = proxy.url().rsplit(':').next().unwrap().parse().unwrap();
    let log = Log::default();
    let lines = log.clone();
    let proxy = proxy.with_log(move |line| lines.lock().unwrap().push(line.to_owned()));
    let task = tokio::spawn(proxy.serve(std::future::pending()));
    (port, log, Running(task.abort_handle()))
}

impl World {
    /// A gateway that answers at once.
    pub async fn new(reply: impl Fn(Received) -> Reply + Clone + Send + Sync + 'static) -> Self {
        Self::with(keys(), move |received| std::future::ready(reply(received))).await
    }

    /// A gateway that answers at once, and a proxy that reads the logs of this AWS.
    pub async fn reading(aws: &Aws, reply: impl Fn(Received) -> Reply + Clone + Send + Sync + 'static) -> Self {
        let gateway = Gateway::start(move |received| std::future::ready(reply(received))).await;
        let api = Api::new(gateway.url().parse().unwrap(), REGION.to_owned(), keys());
        let logs = Logs::new(CloudWatch::new(Account::new(aws.config()).unwrap()));
        let (port, log, running) = serve(Proxy::bind(0, api).await.unwrap().with_logs(logs));
        Self { gateway, log, port, _running: running }
    }

    /// A proxy with these credentials.
    pub async fn with<F: Future<Output = Reply> + Send + 'static>(
        credentials: Credentials,
        reply: impl Fn(Received) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let gateway = Gateway::start(reply).await;
        let (port, log, running) = proxy(&gateway.url(), credentials, PATIENCE).await;
        Self { gateway, log, port, _running: running }
    }

    /// The paths that were called, behind the stage.
    pub fn paths(&self) -> Vec<String> {
        let received = self.gateway.received().into_iter();
        received.map(|request| request.path.strip_prefix("/live").unwrap().to_owned()).collect()
    }
}
