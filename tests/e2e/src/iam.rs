//! Roles that cases need beside the installation's.

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use serde_json::{Value, json};

/// Makes a role that `principal` may assume and that may do `actions`, to everything in its account; returns its ARN. An
/// emulator's account and credentials are those of `account`.
pub async fn role(account: &SdkConfig, name: &str, principal: &Value, actions: &[&str]) -> Result<String> {
    let iam = aws_sdk_iam::Client::new(account);
    let policy = |statement: Value| json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let trust = policy(json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}));
    let made = iam.create_role().role_name(name).assume_role_policy_document(trust).send().await;
    let made = made.with_context(|| format!("cannot make the role {name}"))?;
    if !actions.is_empty() {
        let allowed = policy(json!({"Effect": "Allow", "Action": actions, "Resource": "*"}));
        iam.put_role_policy().role_name(name).policy_name("may").policy_document(allowed).send().await?;
    }
    Ok(made.role().context("IAM made no role")?.arn().to_owned())
}
