//! LocalStack 4.9.2 on the host itself: functions run as processes and DynamoDB Local comes from a package, both through
//! the plug-in in `localstack/host`.

use anyhow::{Result, bail};

use super::{Program, dynamodb_local, python, scratch};
use crate::paths::Paths;
use millrace::shell::version_of;

pub(super) fn program(paths: &Paths, say: fn(&str)) -> Result<Program> {
    if version_of("java", &["-version"]).is_none() {
        bail!(
            "LocalStack needs Java 17 for DynamoDB and there is no `java` on the PATH. Install it (Debian: \
             apt-get install openjdk-17-jre-headless) or use the default emulator: --on ministack"
        );
    }
    let dynamodb = dynamodb_local::install(say)?;
    let requirements = ["build", "localstack"].map(|name| paths.requirements(name));
    let plug_in = paths.source.join("host");
    let python = python::environment(&paths.venv("localstack"), &requirements, Some(&plug_in), say)?;
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
