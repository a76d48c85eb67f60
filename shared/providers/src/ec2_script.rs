//! What an instance does to install an artifact: a shell script that Systems Manager runs there as root.
//!
//! The instance fetches the recorded object with its own role and checks its SHA-256. It needs the aws CLI, and unzip or
//! Python. When it is done it writes down which artifact of which action it has, so that an action that is tried again passes
//! over the instances that were done.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::deploy_spec::{CopiedFile, DeploySpec, Permission, Script};

/// Where an instance keeps what it has, and unpacks artifacts.
pub(crate) const FOLDER: &str = "/var/lib/millrace";

/// The artifact that an instance fetches.
pub(crate) struct Source<'a> {
    pub(crate) region: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) version: Option<&'a str>,
    /// As `sha256sum` prints it; none where S3 recorded none, and then the instance checks nothing.
    pub(crate) sha256: Option<String>,
}

const FUNCTIONS: &str = r#"
say() { echo "millrace: $*"; }
fail() { say "$*" >&2; exit 1; }
# folder, script, seconds, user
run() {
  [ -f "$1/$2" ] || fail "No such file: $2"
  chmod +x "$1/$2"
  cd "$1"
  say "$2"
  if [ -n "$4" ]; then set -- "$1" "$2" "$3" runuser -u "$4" --; else set -- "$1" "$2" "$3"; fi
  folder=$1 script=$2 seconds=$3
  shift 3
  timeout "$seconds" "$@" "$folder/$script" || fail "$script ended with exit code $?"
}
# source, folder
copy() {
  mkdir -p "$2"
  if [ -d "$1" ]; then cp -a "$1/." "$2/"; elif [ -e "$1" ]; then cp -a "$1" "$2/"; else fail "No such file: $1"; fi
}
"#;

/// The script for all of this. `place`: the pipeline's, stage's and action's names.
pub(crate) fn script(source: &Source<'_>, spec: &DeploySpec, place: &str, folder: &str) -> String {
    let Source { region, bucket, key, version, sha256 } = source;
    let artifact = format!("{bucket}/{key}?{}", version.unwrap_or_default());
    let version = version.map(|version| format!(" --version-id {}", quoted(version))).unwrap_or_default();
    let mut script = format!("set -eu\n{FUNCTIONS}");
    let mut line = |text: String| {
        // Text never refuses to be written to.
        let _ = writeln!(script, "{text}");
    };
    line(format!("folder={}", quoted(folder)));
    line(format!("mark=\"$folder/{}\"", hex::encode(Sha256::digest(place))));
    line(format!("artifact={}", quoted(&artifact)));
    line("mkdir -p \"$folder\"".to_owned());
    line("if [ \"$(cat \"$mark\" 2>/dev/null)\" = \"$artifact\" ]; then say 'was done before'; exit 0; fi".to_owned());
    line("work=$(mktemp -d \"$folder/XXXXXXXX\")".to_owned());
    line("trap 'rm -rf \"$work\"' EXIT".to_owned());
    line("chmod 755 \"$work\"".to_owned());
    line(format!(
        "aws s3api get-object --region {} --bucket {} --key {}{version} \"$work/artifact\" >/dev/null",
        quoted(region),
        quoted(bucket),
        quoted(key)
    ));
    if let Some(sha256) = sha256 {
        line(format!(
            "echo '{sha256}  '\"$work/artifact\" | sha256sum -c - >/dev/null || fail 'the artifact is not the one that was recorded'"
        ));
    }
    line("mkdir \"$work/files\"".to_owned());
    line(
        "if command -v unzip >/dev/null; then unzip -q \"$work/artifact\" -d \"$work/files\"; \
         else python3 -m zipfile -e \"$work/artifact\" \"$work/files\"; fi"
            .to_owned(),
    );
    let unpacked = "\"$work/files\"";
    for script in &spec.before {
        line(run(unpacked, script));
    }
    for CopiedFile { source, destination } in &spec.files {
        line(format!("copy \"$work/files/\"{} {}", quoted(source.trim_matches('/')), quoted(destination)));
    }
    for permission in &spec.permissions {
        permit(permission).into_iter().for_each(&mut line);
    }
    let directory = spec.directory.as_deref().map_or_else(|| unpacked.to_owned(), quoted);
    for script in &spec.after {
        line(run(&directory, script));
    }
    line("echo \"$artifact\" > \"$mark\"".to_owned());
    line("say 'done'".to_owned());
    script
}

fn run(directory: &str, Script { location, timeout, runas }: &Script) -> String {
    let user = runas.as_deref().unwrap_or_default();
    format!("run {directory} {} {timeout} {}", quoted(location.trim_start_matches('/')), quoted(user))
}

fn permit(Permission { object, owner, group, mode }: &Permission) -> Vec<String> {
    let object = quoted(object);
    let owners = match (owner, group) {
        (None, None) => None,
        (owner, Some(group)) => Some(format!("{}:{group}", owner.as_deref().unwrap_or_default())),
        (Some(owner), None) => Some(owner.clone()),
    };
    let owners = owners.map(|owners| format!("chown -R {} {object}", quoted(&owners)));
    let mode = mode.as_ref().map(|mode| format!("chmod -R {} {object}", quoted(mode)));
    owners.into_iter().chain(mode).collect()
}

/// As a shell takes it, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
