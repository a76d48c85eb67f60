//! The code host beside an emulator, to which repositories are pushed, and the connection by which pipelines read them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use code_host::{Connection, REPOSITORIES};
use serde_json::json;
use uuid::Uuid;

use crate::Lifetime;
use crate::instance::{Instance, Running};
use crate::sdk::{self, ACCOUNT, HOME};
use crate::sidecar::{Kind, Next, Place, Sidecar, Started};

/// The package of the code host, and its program.
const PACKAGE: &str = "code-host";
/// The port on which a code host listens by default.
const USUAL_PORT: u16 = 4590;
/// The last part of the connection's ARN.
const CONNECTION: &str = "local";
/// How the names of connections' secrets begin: home.yaml's default.
const SECRETS: &str = "millrace/connections/";

/// The ARN of the connection by which pipelines read what was pushed to the code host.
pub(crate) fn connection_arn() -> String {
    format!("arn:aws:codeconnections:{HOME}:{ACCOUNT}:connection/{CONNECTION}")
}

/// The code host of an instance.
pub(crate) struct CodeHost {
    pub sidecar: Sidecar,
    /// Where the repositories are.
    root: PathBuf,
    /// What it knows of the installation.
    connection: PathBuf,
}

impl CodeHost {
    pub fn of(instance: &Instance) -> Self {
        let root = root(&instance.folder);
        let kind = Kind { file: "code-host", name: "the code host", lost: "", usual_port: USUAL_PORT };
        let sidecar = Sidecar::new(instance, kind, &root);
        Self { sidecar, root, connection: instance.folder.join("connection.json") }
    }

    /// The folder in which the code host of the instance in this folder keeps repositories.
    pub fn repositories(instance: &Path) -> PathBuf {
        root(instance).join(REPOSITORIES)
    }

    /// Starts the code host beside a running emulator unless it runs already. Beside a new emulator, which has no pipelines, it
    /// has no repositories.
    pub async fn run(
        &self,
        place: Place,
        programs: &BTreeMap<String, PathBuf>,
        emulator: Running,
        lifetime: Lifetime,
        say: fn(&str),
    ) -> Result<Started> {
        let is_new = matches!(place, Place::Reserved(_));
        let port = match self.sidecar.next(place, say)? {
            Next::Runs(running) => return Ok((running, None)),
            Next::StartAt(port) => port,
        };
        if is_new && self.root.exists() {
            fs::remove_dir_all(&self.root).with_context(|| format!("cannot empty {}", self.root.display()))?;
        }
        let program = programs.get(PACKAGE).context("cargo built no code host")?;
        let pid = emulator.pid.to_string();
        let words = [
            program.as_os_str(),
            "--root".as_ref(),
            self.root.as_ref(),
            "--connection".as_ref(),
            self.connection.as_ref(),
            "--emulator".as_ref(),
            OsStr::new(&pid),
        ];
        self.sidecar.start(&words, port, &[], lifetime).await
    }

    /// Makes the connection: tells the installation where the code host's API is and with which token it is called, and the
    /// code host where the installation's webhook is, and both with which secret deliveries are signed.
    pub async fn connect(&self, emulator: &str, git_url: &str, api_url: &str) -> Result<()> {
        let known: Option<Connection> = fs::read(&self.connection).ok().and_then(|it| serde_json::from_slice(&it).ok());
        let random = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let webhook_url = format!("{api_url}/webhooks/connections/{CONNECTION}");
        let connection = match known {
            Some(known) => Connection { webhook_url, ..known },
            None => Connection { token: random(), webhook_url, webhook_secret: random() },
        };
        let client = Client::new(&sdk::config(emulator, HOME));
        let api = json!({
            "token": connection.token,
            "providerType": "GitHubEnterpriseServer",
            "apiUrl": format!("{git_url}/api/v3"),
        });
        put_secret(&client, &format!("{SECRETS}{CONNECTION}"), &api.to_string()).await?;
        put_secret(&client, &format!("{SECRETS}{CONNECTION}/deliveries"), &connection.webhook_secret).await?;

        let failed = || format!("cannot write {}", self.connection.display());
        let mut file = OpenOptions::new();
        let file = file.write(true).create(true).truncate(true).mode(0o600).open(&self.connection);
        file.with_context(failed)?.write_all(&serde_json::to_vec(&connection)?).with_context(failed)
    }
}

fn root(instance: &Path) -> PathBuf {
    instance.join("code-host")
}

/// Has a secret say this, unless it does.
async fn put_secret(client: &Client, name: &str, value: &str) -> Result<()> {
    let failed = || format!("cannot put the secret {name}");
    let got = client.get_secret_value().secret_id(name).send().await;
    match got.map_err(SdkError::into_service_error) {
        Ok(got) if got.secret_string() == Some(value) => {}
        Ok(_) => {
            client.put_secret_value().secret_id(name).secret_string(value).send().await.with_context(failed)?;
        }
        Err(error) if error.is_resource_not_found_exception() => {
            client.create_secret().name(name).secret_string(value).send().await.with_context(failed)?;
        }
        Err(error) => return Err(error).with_context(failed),
    }
    Ok(())
}
