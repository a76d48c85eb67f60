//! The approver: whoever runs this, or with `--yes` this program itself.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::types::{ActionExecutionDetail, ApprovalResult, ApprovalStatus};

use crate::mail::Mailbox;

/// Who answers the pipeline's manual approvals while its first release runs.
pub(super) enum Approver {
    /// Approves each at once.
    Yes {
        /// The tokens of those that were answered.
        answered: BTreeSet<String>,
    },
    /// Shows each mail, whose link a person opens.
    Person(Mailbox),
    /// The pipeline asks for no approval.
    Nobody,
}

impl Approver {
    /// Attends to the actions that run now. Returns what is to be shown.
    pub(super) async fn attend(
        &mut self,
        client: &Client,
        pipeline: &str,
        running: &[&ActionExecutionDetail],
    ) -> Result<Vec<String>> {
        let mut said = Vec::new();
        match self {
            Self::Nobody => {}
            Self::Person(mailbox) => {
                while let Some(mail) = mailbox.next().await? {
                    said.push(format!("{}\nOpen the link and answer; the release waits.\n", mail.text()));
                }
            }
            Self::Yes { answered } => {
                for action in running {
                    let kind = action.input().and_then(|it| it.action_type_id()).map(|it| it.category().as_str());
                    let result = action.output().and_then(|it| it.execution_result());
                    let Some(token) = result.and_then(|it| it.external_execution_id()) else { continue };
                    if kind != Some("Approval") || !answered.insert(token.to_owned()) {
                        continue;
                    }
                    let (stage, name) =
                        (action.stage_name().unwrap_or_default(), action.action_name().unwrap_or_default());
                    let approved = ApprovalResult::builder().status(ApprovalStatus::Approved);
                    let answer = client
                        .put_approval_result()
                        .pipeline_name(pipeline)
                        .stage_name(stage)
                        .action_name(name)
                        .token(token)
                        .result(approved.summary("Approved by `local run --yes`").build()?)
                        .send()
                        .await;
                    answer.with_context(|| format!("cannot approve {stage} / {name}"))?;
                    said.push(format!("approved {stage} / {name}"));
                }
            }
        }
        Ok(said)
    }
}
