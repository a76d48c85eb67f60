//! What the command says to those who cannot use it yet.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `millrace` with nothing in its environment but these variables.
fn millrace(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// What it says on standard error when it fails.
fn error(output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

const HERE: (&str, &str) = ("AWS_REGION", "eu-west-1");

#[test]
fn whoever_has_no_region_or_credentials_is_told_how_to_get_them() {
    let home = tempfile::tempdir().unwrap();
    for command in [&["deploy", "--yes"][..], &["destroy", "--yes"]] {
        let said = error(millrace(home.path(), command, &[]));
        assert!(said.contains("--region, AWS_REGION"), "{said}");
        let said = error(millrace(home.path(), command, &[HERE]));
        assert!(said.starts_with("error: there are no AWS credentials; set AWS_PROFILE"), "{said}");
    }
    let said = error(millrace(home.path(), &["deploy", "--yes", "--profile", "nobody"], &[]));
    assert!(said.contains("such a profile"), "{said}");
    let unreachable =
        [HERE, ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:9")];
    let said = error(millrace(home.path(), &["deploy", "--yes"], &unreachable));
    assert!(said.contains("nothing answers at http://127.0.0.1:9"), "{said}");
}

#[test]
fn an_expired_login_is_called_one() {
    let home = tempfile::tempdir().unwrap();
    let config = "[profile team]\nregion = eu-west-1\nsso_session = s\nsso_account_id = 111122223333\nsso_role_name = r\n\
                  [sso-session s]\nsso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n";
    fs::create_dir_all(home.path().join(".aws/sso/cache")).unwrap();
    fs::write(home.path().join(".aws/config"), config).unwrap();
    // The file is called after the SHA-1 of the session's name.
    let token = home.path().join(".aws/sso/cache/a0f1490a20d0211c997b44bc357e1972deab8ae3.json");
    let expired = r#"{"accessToken": "x", "expiresAt": "2020-01-01T00:00:00Z", "region": "eu-west-1"}"#;
    fs::write(token, expired).unwrap();
    let said = error(millrace(home.path(), &["deploy", "--yes", "--profile", "team"], &[]));
    assert!(said.contains("session has expired; log in again with `aws sso login`"), "{said}");
}

#[test]
fn nobody_is_asked_who_cannot_answer() {
    let home = tempfile::tempdir().unwrap();
    for command in ["deploy", "destroy", "rollback"] {
        let said = error(millrace(home.path(), &[command], &[HERE]));
        assert!(said.contains("nobody can be asked here: --yes"), "{said}");
    }
    let said = error(millrace(home.path(), &["deploy", "--dry-run", "--regions", "europe"], &[HERE]));
    assert!(said.contains("\"europe\" is not the name of a region"), "{said}");
}
