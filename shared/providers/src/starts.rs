//! Everything that starts a pipeline, as `TRIGGERS.md` tells users of it.

use crate::registry::all;

/// Something that starts a pipeline.
#[derive(Clone, Copy, Debug)]
pub struct StartKind {
    /// What happens, in a clause for the table's first column.
    pub what: &'static str,
    /// What must be there for it.
    pub needs: &'static str,
    /// Which pipelines start, and with which revision.
    pub starts: &'static str,
    /// CodePipeline's `TriggerType`. Source: CodePipeline API, `ExecutionTrigger`.
    pub trigger: &'static str,
    /// What the trigger's detail is.
    pub detail: &'static str,
    /// The file of its test, from the project's top level, and the test's name.
    pub test: (&'static str, &'static str),
}

const DELIVERIES: &str = "functions/webhook/src/tests/deliveries.rs";
const TRIGGERS: &str = "tests/e2e/src/cases/triggers.rs";

/// Those that no provider of a source tells of.
const OTHERS: &[StartKind] = &[
    StartKind {
        what: "`CreatePipeline`",
        needs: "nothing",
        starts: "the new pipeline, with the newest revisions",
        trigger: "CreatePipeline",
        detail: "the caller's ARN",
        test: ("functions/api/tests/api/pipelines.rs", "a_pipeline_is_created_shown_and_started"),
    },
    StartKind {
        what: "`StartPipelineExecution`",
        needs: "nothing",
        starts: "the named pipeline, with the variables and source revisions that are given; once for each client token",
        trigger: "StartPipelineExecution",
        detail: "the caller's ARN",
        test: (TRIGGERS, "started_once"),
    },
    StartKind {
        what: "`PutActionRevision`",
        needs: "a source action of a custom type",
        starts: "its pipeline with that revision, unless the last one that was reported is the same",
        trigger: "PutActionRevision",
        detail: "the caller's ARN",
        test: ("functions/api/tests/api/sources.rs", "a_new_revision_starts_an_execution_and_the_same_one_does_not"),
    },
    StartKind {
        what: "a `Start Pipeline` event on the installation's own bus",
        needs: "the right to put events there",
        starts: "the pipeline that it names, with its variables and source revisions; once for each event",
        trigger: "CloudWatchEvent",
        detail: "the event's source",
        test: (TRIGGERS, "started_by_rule"),
    },
    StartKind {
        what: "a rule of EventBridge, of any pattern",
        needs: "the function `trigger` as its target, with the pipeline's name in the input that the rule sends",
        starts: "that pipeline, with the variables and source revisions in the input; once for each invocation",
        trigger: "CloudWatchEvent",
        detail: "the rule's ARN where the input has it as `rule`, else `rule`",
        test: ("functions/trigger/src/tests.rs", "a_rule_gives_its_pipeline_source_revisions"),
    },
    StartKind {
        what: "a schedule (`cron` or `rate`)",
        needs: "such a rule with a schedule in place of a pattern, and a constant input",
        starts: "that pipeline, with the newest revisions",
        trigger: "CloudWatchEvent",
        detail: "as above",
        test: (TRIGGERS, "started_by_schedule"),
    },
    StartKind {
        what: "a call of a webhook, GITHUB_HMAC",
        needs: "`PutWebhook`, and at the host its URL and secret token: `RegisterWebhookWithThirdParty` tells GitHub",
        starts: "the webhook's pipeline, if its filters let the body pass; of a push to the branch of a source at GitHub with the push's commit. Once for each body",
        trigger: "Webhook",
        detail: "the webhook's ARN",
        test: (DELIVERIES, "a_signed_push_starts_the_pipeline_with_its_commit"),
    },
    StartKind {
        what: "a call of a webhook, IP",
        needs: "`PutWebhook`, and a caller with an address in its range",
        starts: "the same; once for each `X-GitHub-Delivery`, or body within five minutes",
        trigger: "Webhook",
        detail: "the webhook's ARN",
        test: (DELIVERIES, "the_address_is_what_api_gateway_saw"),
    },
    StartKind {
        what: "a call of a webhook, UNAUTHENTICATED",
        needs: "`PutWebhook`, and a caller who knows the URL",
        starts: "the same",
        trigger: "Webhook",
        detail: "the webhook's ARN",
        test: (DELIVERIES, "a_delivery_that_is_repeated_starts_nothing_again"),
    },
    StartKind {
        what: "a push that GitHub, GitLab or Bitbucket deliver to a connection",
        needs: "a secret for the connection's deliveries, and a webhook at the host with it",
        starts: "every pipeline whose source reads the repository's branch through the connection, unless its `DetectChanges` is `false`, with the commit that was delivered; once for each delivery",
        trigger: "Webhook",
        detail: "a JSON object: connection, repository, branch, commit",
        test: ("tests/e2e/src/cases/webhooks.rs", "connections_start"),
    },
    StartKind {
        what: "such a push of a branch or tag, or a pull request, that a filter of the pipeline's `triggers` lets pass",
        needs: "the same, and a pipeline of type V2",
        starts: "every pipeline with such a filter, with the commit that was delivered. Where files decide that were not delivered, the host compares",
        trigger: "WebhookV2",
        detail: "the same, and which filter it was",
        test: ("functions/trigger/src/tests.rs", "a_filter_decides_and_its_trigger_says_which"),
    },
    StartKind {
        what: "a poll, once a minute, that finds another revision",
        needs: "`PollForSourceChanges`: `true` at an S3 or CodeCommit source, not `false` at a GitHub source of the owner ThirdParty. At most 300 pipelines",
        starts: "the pipeline, with that revision; once for each revision, also if an event tells of it",
        trigger: "PollForSourceChanges",
        detail: "what has changed",
        test: (TRIGGERS, "started_by_poll"),
    },
    StartKind {
        what: "`RollbackStage`",
        needs: "an execution that succeeded in the stage",
        starts: "an execution of that stage alone, with what the other one had",
        trigger: "ManualRollback",
        detail: "the caller's ARN",
        test: ("tests/e2e/src/cases/rollback.rs", "rolled_back_by_hand"),
    },
    StartKind {
        what: "a stage that fails and is to be rolled back",
        needs: "`onFailure` with the result `ROLLBACK`",
        starts: "the same",
        trigger: "AutomatedRollback",
        detail: "the execution that failed",
        test: ("tests/e2e/src/cases/rollback.rs", "rolled_back_by_itself"),
    },
];

/// Everything that starts a pipeline: the events of what sources watch, then the others.
pub fn start_kinds() -> Vec<StartKind> {
    let events = all().iter().filter_map(|provider| provider.source?.events);
    events.flat_map(|events| events.starts).chain(OTHERS).copied().collect()
}
