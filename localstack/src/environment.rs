//! What a client must know about the stack, as environment variables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::code_host::connection_arn;
use crate::sdk::{ACCOUNT, HOME, KEY};

/// Outputs of the stacks that clients need, by variable.
const FROM_HOME: &[(&str, &str)] = &[
    ("AWS_ENDPOINT_URL_CODEPIPELINE", "ApiUrl"),
    ("MILLRACE_APPROVAL_URL", "ApprovalUrl"),
    ("MILLRACE_TABLE", "TableName"),
    ("MILLRACE_AUDIT_BUCKET", "AuditBucket"),
    ("MILLRACE_BUS", "BusName"),
    ("MILLRACE_POLL_QUEUE_URL", "PollQueueUrl"),
    ("MILLRACE_HMAC_KEY", "HmacKeyArn"),
    ("MILLRACE_WORKER_ROLE", "WorkerRoleArn"),
    ("MILLRACE_REPLICATOR_ROLE", "ReplicatorRoleArn"),
];

/// Where a stack answers.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    /// All of AWS's services but CodeBuild: the emulator.
    pub aws: String,
    /// CodeBuild: the build host.
    pub codebuild: String,
    /// Git: the code host.
    pub git: String,
}

/// Variables for the stack that answers there: `home`, the outputs of home.yaml's stack; `regions`, those of each
/// region.yaml's.
pub(crate) fn variables(
    endpoints: &Endpoints,
    home: &BTreeMap<String, String>,
    regions: &BTreeMap<String, BTreeMap<String, String>>,
    pipeline_role: &str,
) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::from(
        [
            ("AWS_ENDPOINT_URL", &*endpoints.aws),
            ("AWS_ENDPOINT_URL_CODEBUILD", &endpoints.codebuild),
            ("AWS_REGION", HOME),
            ("AWS_DEFAULT_REGION", HOME),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", KEY),
            ("MILLRACE_ACCOUNT", ACCOUNT),
            ("MILLRACE_CONNECTION", &connection_arn()),
            ("MILLRACE_EVENT_BUS", "default"),
            ("MILLRACE_GIT_URL", &endpoints.git),
            ("MILLRACE_PIPELINE_ROLE", pipeline_role),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    for (variable, output) in FROM_HOME {
        let value = home.get(*output).with_context(|| format!("home.yaml's stack has no output {output}"))?;
        variables.insert((*variable).to_owned(), value.clone());
    }
    for (region, outputs) in regions {
        let suffix = region.to_uppercase().replace('-', "_");
        for (variable, output) in [("ARTIFACTS", "ArtifactBucket"), ("ARTIFACT_KEY", "ArtifactKeyArn")] {
            let value = outputs
                .get(output)
                .with_context(|| format!("region.yaml's stack in {region} has no output {output}"))?;
            variables.insert(format!("MILLRACE_{variable}_{suffix}"), value.clone());
        }
    }
    Ok(variables)
}

/// Writes a file for a shell to source. A session token that the shell holds would not fit the emulator's key.
pub(crate) fn write(variables: &BTreeMap<String, String>, file: &Path) -> Result<()> {
    let mut text = String::from(
        "# Written by `cargo run -p local -- up`; source it: . target/local/env\nunset AWS_PROFILE AWS_SESSION_TOKEN\n",
    );
    for (name, value) in variables {
        writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''"))?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn endpoints() -> Endpoints {
        let [aws, codebuild, git] = [1, 2, 3].map(|port| format!("http://127.0.0.1:{port}"));
        Endpoints { aws, codebuild, git }
    }

    fn outputs(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), format!("the {name}'s"))).collect()
    }

    #[test]
    fn a_shell_reads_what_was_written() {
        let home = outputs(&FROM_HOME.iter().map(|(_, output)| *output).collect::<Vec<_>>());
        let regions = BTreeMap::from([("us-west-2".to_owned(), outputs(&["ArtifactBucket", "ArtifactKeyArn"]))]);
        let variables = variables(&endpoints(), &home, &regions, "role").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        write(&variables, &file).unwrap();
        let script = format!(
            ". {} && printf %s \"$MILLRACE_ARTIFACTS_US_WEST_2|$AWS_ENDPOINT_URL|$AWS_ENDPOINT_URL_CODEBUILD|$MILLRACE_GIT_URL|$MILLRACE_TABLE\"",
            file.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "the ArtifactBucket's|http://127.0.0.1:1|http://127.0.0.1:2|http://127.0.0.1:3|the TableName's"
        );
    }

    #[test]
    fn a_missing_output_is_named() {
        let error = variables(&endpoints(), &BTreeMap::new(), &BTreeMap::new(), "").unwrap_err();
        assert!(error.to_string().contains("ApiUrl"), "{error}");
    }
}
