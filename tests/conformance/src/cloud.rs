//! AWS behind the API: what STS, IAM, KMS and S3 answer.

use std::collections::BTreeMap;

use engine::Pin;
use serde_json::json;
use testkit::{Aws, Reply, decode};

use crate::gateway::in_base64;

/// What S3 has under every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// What was recorded first: [`stored_pin`].
    Recorded,
    /// Something that was put over it.
    Overwritten,
    /// No object: S3 answers 404.
    Missing,
}

/// Which object S3 has under every key at first.
pub fn stored_pin() -> Pin {
    Pin { version: Some("first".into()), sha256: Some("c2hhMjU2".into()) }
}

/// STS gives credentials for every role, SQS takes every message, IAM lets everybody pass every role, KMS gives the key for the ids of jobs, and S3
/// has an object under every key.
pub(crate) fn cloud() -> Aws {
    let aws = Aws::default();
    let mac = json!({"KeyId": "k", "Mac": in_base64(&[7; 32]), "MacAlgorithm": "HMAC_SHA_256"});
    aws.on("GenerateMac", 200, mac.to_string());
    aws.on("SendMessage", 200, r#"{"MessageId": "m"}"#);
    allow_to_pass_all_but(&aws, None);
    store(&aws, Stored::Recorded);
    aws
}

/// Everybody may pass every role but this one.
pub(crate) fn allow_to_pass_all_but(aws: &Aws, denied: Option<&str>) {
    let denied = denied.map(ToOwned::to_owned);
    aws.reply("SimulatePrincipalPolicy", move |call| {
        let form = call.text();
        let roles = form.split('&').filter(|pair| pair.starts_with("ResourceArns."));
        let results: String = roles
            .map(|pair| {
                let role = decode(pair.split_once('=').unwrap().1);
                let decision = if denied.as_ref() == Some(&role) { "implicitDeny" } else { "allowed" };
                format!(
                    "<member><EvalActionName>iam:PassRole</EvalActionName><EvalResourceName>{role}</EvalResourceName>\
                     <EvalDecision>{decision}</EvalDecision></member>"
                )
            })
            .collect();
        let answer = format!(
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>{results}\
             </EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        );
        (200, BTreeMap::new(), answer.into_bytes())
    });
}

/// S3 has this under every key.
pub(crate) fn store(aws: &Aws, stored: Stored) {
    let object = |version: &str, sha256: &str| -> Reply {
        let headers = [
            ("x-amz-version-id", version),
            ("x-amz-checksum-sha256", sha256),
            ("etag", "\"e\""),
            ("content-length", "1"),
        ];
        (200, headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), Vec::new())
    };
    let reply = match stored {
        Stored::Recorded => object("first", "c2hhMjU2"),
        Stored::Overwritten => object("second", "b3RoZXI="),
        Stored::Missing => (404, BTreeMap::new(), Vec::new()),
    };
    aws.reply("HeadObject", move |_| reply.clone());
}
