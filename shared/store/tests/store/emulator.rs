//! Starts the emulators that the crate `local` installs.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use store::DynamoStore;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running emulator; it ends with this value.
pub struct Emulator {
    process: Child,
    pub port: u16,
    tables: AtomicU32,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Emulator {
    pub async fn ministack() -> Self {
        let python = local::install_ministack().unwrap();
        let port = free_port();
        let mut command = Command::new(&python);
        command.args(["-m", "ministack"]).env("GATEWAY_PORT", port.to_string()).env("BIND_HOST", "127.0.0.1");
        Self::start(command, "store-ministack", port).await
    }

    pub async fn dynamodb_local() -> Self {
        let home = local::install_dynamodb_local().unwrap();
        let port = free_port();
        let mut command = Command::new("java");
        command
            .arg(format!("-Djava.library.path={}", home.join("DynamoDBLocal_lib").display()))
            .arg("-jar")
            .arg(home.join("DynamoDBLocal.jar"))
            .args(["-inMemory", "-port", &port.to_string()]);
        Self::start(command, "store-dynamodb-local", port).await
    }

    async fn start(mut command: Command, name: &str, port: u16) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
        let log = File::create(&path).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {command:?}: {error}"));
        let mut emulator = Self { process, port, tables: AtomicU32::new(0) };
        let begin = Instant::now();
        while emulator.client(port).list_tables().send().await.is_err() {
            let ended = emulator.process.try_wait().unwrap();
            assert!(
                ended.is_none() && begin.elapsed() < PATIENCE,
                "{name} does not answer ({ended:?}): {}",
                fs::read_to_string(&path).unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        emulator
    }

    /// A client of what answers on a port of this machine.
    pub fn client(&self, port: u16) -> Client {
        let tls = tls::Provider::Rustls(CryptoMode::Ring);
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(format!("http://127.0.0.1:{port}"))
            .http_client(aws_smithy_http_client::Builder::new().tls_provider(tls).build_https());
        Client::from_conf(config.build())
    }

    /// A store on a new table.
    pub async fn store(&self) -> DynamoStore {
        DynamoStore::new(self.client(self.port), self.table().await)
    }

    /// Makes a table with the keys and indexes of `infra/home.yaml`.
    pub async fn table(&self) -> String {
        let name = format!("millrace-{}", self.tables.fetch_add(1, Ordering::Relaxed));
        let attribute = |name: &str, kind| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
        };
        let keys = |hash: &str, range: &str| {
            let key =
                |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
            Some(vec![key(hash, KeyType::Hash), key(range, KeyType::Range)])
        };
        let index = |name: &str, hash: &str, range: &str, projection| {
            GlobalSecondaryIndex::builder()
                .index_name(name)
                .set_key_schema(keys(hash, range))
                .projection(Projection::builder().projection_type(projection).build())
                .build()
                .unwrap()
        };
        let mut create = self
            .client(self.port)
            .create_table()
            .table_name(&name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("due_at", ScalarAttributeType::N))
            .set_key_schema(keys("pk", "sk"))
            .global_secondary_indexes(index("listing", "listing_pk", "listing_sk", ProjectionType::All))
            .global_secondary_indexes(index("due", "due_pk", "due_at", ProjectionType::KeysOnly));
        for name in ["pk", "sk", "listing_pk", "listing_sk", "due_pk"] {
            create = create.attribute_definitions(attribute(name, ScalarAttributeType::S));
        }
        create.send().await.unwrap();
        name
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
