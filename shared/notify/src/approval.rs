//! The message that asks for an approval. Source of its form: CodePipeline user guide, 'JSON data format for manual
//! approval notifications in CodePipeline'.

use aws_sdk_sns::Client;
use aws_sdk_sns::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::publish::PublishError;
use engine::{ActionError, ApprovalToken, Artifact, Proposal, Timestamp};
use serde_json::json;

use crate::digest::digest;
use crate::proposal;
use crate::time::{minute, minutes};

/// Source: SNS API, `Publish`, `Subject`.
const SUBJECT_MOST: usize = 100;

/// Why the message could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// SNS refuses, and will refuse again: no such topic, no right.
    #[error("the approval message could not be sent to {topic}: {code}: {message}")]
    Refused {
        /// The ARN of the SNS topic.
        topic: String,
        /// The code of SNS's error, for example `AuthorizationError`.
        code: String,
        /// The words of SNS's error.
        message: String,
    },
    /// SNS could not be reached or was too busy; trying later may help.
    #[error("the approval message could not be sent to {topic} now: {message}")]
    Unavailable {
        /// The ARN of the SNS topic.
        topic: String,
        /// SNS's error, or why no answer came.
        message: String,
    },
}

impl SendError {
    /// Why the action fails because of this; none when it is worth trying again.
    pub fn action_error(&self) -> Option<ActionError> {
        match self {
            Self::Refused { code, .. } => {
                let denied = code.starts_with("Authorization") || code.starts_with("AccessDenied");
                let kind = if denied { "PermissionError" } else { "ConfigurationError" };
                Some(ActionError { code: kind.to_owned(), message: self.to_string() })
            }
            Self::Unavailable { .. } => None,
        }
    }

    fn from_sns(topic: &str, error: &SdkError<PublishError>) -> Self {
        let topic = topic.to_owned();
        let SdkError::ServiceError(context) = error else {
            return Self::Unavailable { topic, message: DisplayErrorContext(error).to_string() };
        };
        let code = context.err().code().unwrap_or("Unknown").to_owned();
        let message = context.err().message().unwrap_or("SNS gave no reason").to_owned();
        if context.raw().status().is_server_error() || code.contains("Throttl") {
            Self::Unavailable { topic, message: format!("{code}: {message}") }
        } else {
            Self::Refused { topic, code, message }
        }
    }
}

/// Everything that the message tells. No `Debug`: token and link are secrets.
#[derive(Clone, PartialEq)]
pub struct ApprovalMessage {
    /// The region in which the pipeline lives.
    pub region: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The stage's name.
    pub stage: String,
    /// The approval action's name.
    pub action: String,
    /// What an answer by `PutApprovalResult` must name.
    pub token: ApprovalToken,
    /// Until when it can be answered.
    pub expires: Timestamp,
    /// The link to the page on which it can be answered; none where links are off.
    pub review: Option<ReviewLink>,
    /// What is to be looked at: `ExternalEntityLink` of the configuration.
    pub external_entity_link: Option<String>,
    /// What the pipeline's author wrote: `CustomData` of the configuration.
    pub custom_data: Option<String>,
    /// What the approval decides.
    pub proposal: Proposal,
    /// The artifacts that would go on.
    pub artifacts: Vec<Artifact>,
}

/// The signed link to an approval's page. No `Debug`: whoever has it can answer.
#[derive(Clone, PartialEq, Eq)]
pub struct ReviewLink {
    /// The page's address, signature and all.
    pub address: String,
    /// Whether it can approve as well as reject.
    pub approves: bool,
}

impl ApprovalMessage {
    /// Sends the message to a topic.
    ///
    /// # Errors
    /// [`SendError`] names the topic.
    pub async fn send(&self, client: &Client, topic: &str) -> Result<(), SendError> {
        let request = client.publish().topic_arn(topic).subject(self.subject()).message_structure("json");
        request.message(self.message()).send().await.map_err(|error| SendError::from_sns(topic, &error))?;
        Ok(())
    }

    fn subject(&self) -> String {
        let subject = format!("APPROVAL NEEDED: AWS CodePipeline {} for action {}", self.pipeline, self.action);
        subject.chars().take(SUBJECT_MOST).collect()
    }

    /// AWS's JSON. There is no console of AWS's in which the pipeline can be seen, so both links lead to the page; where
    /// links are off both are left out.
    fn json(&self) -> String {
        let link = self.review.as_ref().map(|review| &review.address);
        let mut approval = json!({
            "pipelineName": self.pipeline,
            "stageName": self.stage,
            "actionName": self.action,
            "token": self.token,
            "expires": minute(self.expires),
            "externalEntityLink": self.external_entity_link,
            "approvalReviewLink": link,
            "customData": self.custom_data,
        });
        if let Some(members) = approval.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        let mut message = json!({"region": self.region, "approval": approval});
        if let Some(link) = link {
            message["consoleLink"] = json!(link);
        }
        message.to_string()
    }

    fn email(&self) -> String {
        let mut text = format!(
            "Hello,\n\nThe pipeline {} waits in its stage {} for an answer to the action {}.\n",
            self.pipeline, self.stage, self.action
        );
        if let Some(words) = &self.custom_data {
            text += &format!("\n{words}\n");
        }
        if let Some(link) = &self.external_entity_link {
            text += &format!("\nWhat is to be reviewed:\n{link}\n");
        }
        text += &proposal::text(&self.proposal);
        if !self.artifacts.is_empty() {
            text += "\nArtifacts that would go on:\n";
            for artifact in &self.artifacts {
                text += &format!("- {}: {}\n", artifact.name, digest(&artifact.pin));
            }
        }
        text += &self.how_to_answer();
        text += &format!("\nIt can be answered once, until {}; after that the action fails.", minutes(self.expires));
        text += match &self.review {
            Some(_) => " Whoever has this link can answer: do not pass it on.\n",
            None => "\n",
        };
        text
    }

    fn how_to_answer(&self) -> String {
        let by_api = format!(
            "aws codepipeline put-approval-result --pipeline-name {} --stage-name {} --action-name {} with the token that \
             get-pipeline-state shows",
            self.pipeline, self.stage, self.action
        );
        match &self.review {
            Some(ReviewLink { address, approves: true }) => {
                format!("\nOpen this page to approve or reject:\n{address}\n")
            }
            Some(ReviewLink { address, approves: false }) => format!(
                "\nSomebody else than who started the execution must approve it. A link cannot prove who uses it, so \
                 approve it by {by_api}.\n\nOpen this page to reject:\n{address}\n"
            ),
            None => format!("\nApprove or reject it by {by_api}.\n"),
        }
    }

    /// What is published with `MessageStructure` `json`: a text for e-mail, AWS's JSON for everything else.
    fn message(&self) -> String {
        json!({"default": self.json(), "email": self.email()}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use engine::{ChangeSet, ExecutionId, FoundRevision, LiveRevision, NewerExecution, Revision, SourceChange};
    use pipeline::StageName;
    use serde_json::Value;
    use testkit::{Answer, Stub};
    use uuid::Uuid;

    use super::*;

    fn link(approves: bool) -> Option<ReviewLink> {
        Some(ReviewLink { address: "https://example.com/approve?v=1&m=xyz".into(), approves })
    }

    fn found(id: &str, summary: &str, author: Option<&str>) -> FoundRevision {
        let url = Some(format!("https://github.com/acme/shop/commit/{id}"));
        let revision = Revision { id: id.into(), summary: Some(summary.into()), url, created: None, change: None };
        FoundRevision { revision, author: author.map(str::to_owned) }
    }

    fn message() -> ApprovalMessage {
        ApprovalMessage {
            region: "us-east-2".into(),
            pipeline: "MyFirstPipeline".into(),
            stage: "MyApprovalStage".into(),
            action: "MyApprovalAction".into(),
            token: ApprovalToken(Uuid::from_u128(0x1a2b3c4d_573f_4ea7_a670_000000000001)),
            expires: Timestamp(1_467_922_920_000),
            review: link(true),
            external_entity_link: Some("http://example.com".into()),
            custom_data: Some("Look at \"it\"".into()),
            proposal: Proposal {
                sources: vec![SourceChange {
                    source: pipeline::ActionName::new("Source").unwrap(),
                    proposed: found("8cf40f2", "Added LICENSE.txt\n\nAs asked", Some("Ada Lovelace")),
                    between: vec![found("77aa001", "Fixed a typo", None)],
                    live: vec![
                        LiveRevision {
                            stages: ["Canary", "Prod"].map(|name| StageName::new(name).unwrap()).into(),
                            revision: Some(found("1b2c3d4", "First", None).revision),
                        },
                        LiveRevision { stages: vec![StageName::new("Museum").unwrap()], revision: None },
                    ],
                }],
                change_sets: vec![ChangeSet {
                    action: pipeline::ActionName::new("Prepare").unwrap(),
                    stack: "shop".into(),
                    summary: Some("1 replaced (Jobs AWS::SQS::Queue)".into()),
                }],
                newer: Some(NewerExecution {
                    execution: ExecutionId::from_random(Uuid::from_u128(9)),
                    started: Timestamp(1_467_922_920_000),
                    revisions: Vec::new(),
                    before_it: 0,
                }),
                ..Proposal::default()
            },
            artifacts: vec![Artifact {
                name: pipeline::ArtifactName::new("App").unwrap(),
                region: "us-east-2".into(),
                bucket: "store".into(),
                key: "key".into(),
                pin: engine::Pin { version: Some("v7".into()), sha256: Some("LPJNug==".into()) },
            }],
        }
    }

    #[test]
    fn the_json_has_aws_s_members() {
        let expected = r#"{"approval":{"actionName":"MyApprovalAction","approvalReviewLink":"https://example.com/approve?v=1&m=xyz","customData":"Look at \"it\"","expires":"2016-07-07T20:22Z","externalEntityLink":"http://example.com","pipelineName":"MyFirstPipeline","stageName":"MyApprovalStage","token":"1a2b3c4d-573f-4ea7-a670-000000000001"},"consoleLink":"https://example.com/approve?v=1&m=xyz","region":"us-east-2"}"#;
        assert_eq!(message().json(), expected);
        let bare = ApprovalMessage { external_entity_link: None, custom_data: None, ..message() };
        assert!(!bare.json().contains("customData") && !bare.json().contains("externalEntityLink"));
    }

    #[test]
    fn the_mail_can_be_read() {
        let text = message().email();
        for part in [
            "MyFirstPipeline",
            "MyApprovalStage",
            "MyApprovalAction",
            "Look at \"it\"",
            "- Source: 8cf40f2 (Added LICENSE.txt) by Ada Lovelace\n",
            "since then also 77aa001 (Fixed a typo)",
            "Canary and Prod run 1b2c3d4 (First)",
            "Compare: https://github.com/acme/shop/compare/1b2c3d4...8cf40f2",
            "Museum: nothing has come through yet",
            "- stack shop: 1 replaced (Jobs AWS::SQS::Queue)",
            "A newer execution waits behind this one: started Thursday 7 July 2016, 20:22 UTC. It can go in when",
            "- App: SHA-256 2cf24dba",
            "\nhttps://example.com/approve?v=1&m=xyz\n",
            "until Thursday 7 July 2016, 20:22 UTC",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn where_links_are_off_there_is_none_and_the_text_says_how_to_answer() {
        let text = ApprovalMessage { review: None, ..message() };
        for told in [text.email(), text.json()] {
            assert!(!told.contains("https://example.com/approve") && !told.contains("Link\":null"), "{told}");
        }
        assert!(text.json().contains("1a2b3c4d-573f-4ea7-a670-000000000001"));
        let by_api = "put-approval-result --pipeline-name MyFirstPipeline --stage-name MyApprovalStage --action-name";
        assert!(text.email().contains(by_api) && !text.email().contains("do not pass it on"), "{}", text.email());
    }

    #[test]
    fn a_link_that_cannot_approve_says_so() {
        let text = ApprovalMessage { review: link(false), ..message() }.email();
        assert!(text.contains("Open this page to reject:\nhttps://example.com/approve"), "{text}");
        assert!(text.contains("A link cannot prove who uses it") && text.contains("put-approval-result"), "{text}");
        assert!(!text.contains("to approve or reject"), "{text}");
    }

    #[tokio::test]
    async fn it_is_published_with_a_structure_and_a_subject() {
        let stub = Stub::new(|_| {
            Answer::ok(
                "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
                 <MessageId>1</MessageId></PublishResult></PublishResponse>",
            )
        });
        let long = ApprovalMessage { action: "a".repeat(100), ..message() };
        long.send(&Client::new(&stub.config()), "arn:aws:sns:us-east-2:123456789012:ok").await.unwrap();
        let body = stub.requests().pop().unwrap().body;
        let sent: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let field = |name: &str| sent.iter().find(|(key, _)| key == name).unwrap().1.clone();
        assert_eq!(field("MessageStructure"), "json");
        assert!(field("Subject").starts_with("APPROVAL NEEDED: AWS CodePipeline MyFirstPipeline for action aaa"));
        assert_eq!(field("Subject").chars().count(), 100);
        let parts: Value = serde_json::from_str(&field("Message")).unwrap();
        let json: Value = serde_json::from_str(parts["default"].as_str().unwrap()).unwrap();
        assert_eq!(json["approval"]["token"], "1a2b3c4d-573f-4ea7-a670-000000000001");
        assert!(parts["email"].as_str().unwrap().starts_with("Hello"));
    }

    #[tokio::test]
    async fn a_refusal_names_the_topic() {
        let refusal = |status, code: &'static str| {
            Stub::new(move |_| Answer {
                status,
                body: format!(
                    "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
                     <Code>{code}</Code><Message>words of SNS</Message></Error></ErrorResponse>"
                ),
            })
        };
        for (status, code, kind) in [
            (404, "NotFound", Some("ConfigurationError")),
            (403, "AuthorizationError", Some("PermissionError")),
            (500, "InternalError", None),
            (400, "Throttled", None),
        ] {
            let client = Client::new(&refusal(status, code).config());
            let error = message().send(&client, "arn:aws:sns:us-east-2:1:missing").await.unwrap_err();
            assert!(error.to_string().contains("arn:aws:sns:us-east-2:1:missing"), "{error}");
            assert!(error.to_string().contains("words of SNS"), "{error}");
            assert_eq!(error.action_error().map(|it| it.code).as_deref(), kind);
        }
    }
}
