//! What a person can do: buttons that say which operation the script calls, after it has asked.
//!
//! A button holds the whole request, made of what the page shows: ids, tokens, names. So a page that is no longer true asks for
//! something that is no longer there, and both the script and the API refuse it.

use engine::{ActionId, Execution, StageRun};
use maud::{Markup, html};
use pages::shown;
use pictures::TAG;
use pictures::states::is_approval;
use pipeline::{Action, ConditionKind, Pipeline, PipelineName, StageName};
use serde_json::{Value, json};

use crate::address;

/// The longest summary of an approval. Source: CodePipeline API, `ApprovalResult`.
const SUMMARY_MOST: u32 = 512;
/// The longest reason for closing a transition. Source: CodePipeline API, `DisabledReason`.
const REASON_MOST: u32 = 300;
/// What such a reason may hold. Source: CodePipeline API, `DisabledReason`.
const REASON: &str = r"[a-zA-Z0-9!@ \(\)\.\*\?\-]+";
/// The longest reason for stopping. Source: CodePipeline API, `StopPipelineExecutionReason`.
const STOP_MOST: u32 = 200;
/// The longest value of a variable. Source: CodePipeline API, `PipelineVariableValue`.
const VARIABLE_MOST: u32 = 1_000;

/// A button, and the call of the API that it makes once somebody has confirmed it.
struct Act {
    op: &'static str,
    /// On the button, and on the one that confirms.
    label: &'static str,
    title: String,
    words: String,
    body: Value,
    fields: Value,
    class: &'static str,
}

impl Act {
    fn button(&self) -> Markup {
        html! {
            button type="button" class=(self.class) data-op=(self.op)
                data-title=(shown(&self.title)) data-words=(shown(&self.words)) data-yes=(self.label.trim_end_matches('…'))
                data-body=(self.body) data-fields=(self.fields) { (self.label) }
        }
    }
}

/// Starts an execution, with variables and revisions.
pub fn start(pipeline: &Pipeline) -> Markup {
    let name = pipeline.name().as_str();
    let variables = pipeline.declaration().variables.iter().flatten().map(|it| {
        let default = it.default_value.as_deref();
        let hint = match (&it.description, default) {
            (Some(about), _) if !about.is_empty() => about.clone(),
            (_, None) => "There is no value by default.".to_owned(),
            _ => String::new(),
        };
        json!({"label": shown(&it.name), "variable": it.name, "value": default.unwrap_or_default(), "most": VARIABLE_MOST,
            "need": default.is_none(), "hint": shown(&hint)})
    });
    let sources = pipeline.stages().first().into_iter().flat_map(|stage| &stage.actions);
    let revisions = sources.filter_map(|action| {
        let (kind, what) = revision_type(action)?;
        let label = format!("{what} for {}", action.name);
        Some(json!({"label": label, "hint": "Empty for the newest.",
            "revision": {"actionName": action.name.as_str(), "revisionType": kind}}))
    });
    let fields: Vec<Value> = variables.chain(revisions).collect();
    let act = Act {
        op: "StartPipelineExecution",
        label: "Start…",
        title: format!("Start {name}?"),
        words: "A new execution begins with the first stage.".into(),
        body: json!({"name": name}),
        fields: fields.into(),
        class: "main",
    };
    act.button()
}

/// How a start names a revision of this source. Source: CodePipeline API, `SourceRevisionOverride`.
fn revision_type(action: &Action) -> Option<(&'static str, &'static str)> {
    match action.type_id.provider.as_str() {
        "S3" => Some(("S3_OBJECT_VERSION_ID", "Version of the object")),
        "CodeCommit" | "CodeStarSourceConnection" => Some(("COMMIT_ID", "Commit")),
        "ECR" => Some(("IMAGE_DIGEST", "Digest of the image")),
        _ => None,
    }
}

/// Stops an execution that has not ended.
pub fn stop(execution: &Execution) -> Markup {
    let name = execution.pipeline.as_str();
    let act = Act {
        op: "StopPipelineExecution",
        label: "Stop…",
        title: format!("Stop execution #{} of {name}?", execution.number),
        words: "What runs goes on to its end; nothing more begins.".into(),
        body: json!({"pipelineName": name, "pipelineExecutionId": execution.id.to_string()}),
        fields: json!([
            {"label": "Reason", "at": ["reason"], "most": STOP_MOST},
            {"label": "Abandon what runs: its results are not waited for", "at": ["abandon"], "check": true},
        ]),
        class: "danger",
    };
    act.button()
}

/// Approves or rejects what waits for a person.
pub fn approval(pipeline: &str, stage: &StageRun, of: &Pipeline, place: u8) -> Markup {
    let (Some(run), Some(declared)) = (stage.run(place), of.action(stage.stage, place)) else { return html! {} };
    let Some(token) = run.token.filter(|_| run.status.in_flight() && is_approval(declared)) else { return html! {} };
    let act = |status: &'static str, label, words: &str, class| Act {
        op: "PutApprovalResult",
        label,
        title: format!("{} “{}” in {}?", label.trim_end_matches('…'), run.name, stage.name),
        words: words.to_owned(),
        body: json!({"pipelineName": pipeline, "stageName": stage.name.as_str(), "actionName": run.name.as_str(),
            "token": token.to_string(), "result": {"status": status, "summary": ""}}),
        fields: json!([{"label": "Comment", "at": ["result", "summary"], "most": SUMMARY_MOST, "lines": true, "empty": true}]),
        class,
    };
    html! {
        (act("Approved", "Approve…", "The execution goes on. The answer is final and says who gave it.", "main").button())
        (act("Rejected", "Reject…", "The stage fails. The answer is final and says who gave it.", "danger").button())
    }
}

/// Tries a failed stage again.
pub fn retry(pipeline: &str, stage: &StageRun) -> Markup {
    let act = |mode: &'static str, label, words: &str| Act {
        op: "RetryStageExecution",
        label,
        title: format!("Try stage {} again?", stage.name),
        words: words.to_owned(),
        body: json!({"pipelineName": pipeline, "stageName": stage.name.as_str(),
            "pipelineExecutionId": stage.execution.to_string(), "retryMode": mode}),
        fields: json!([]),
        class: "",
    };
    html! {
        (act("FAILED_ACTIONS", "Retry failed…", "Actions that failed, and those that did not get their turn, run again.").button())
        (act("ALL_ACTIONS", "Retry all…", "All actions of the stage run again, from its first.").button())
    }
}

/// Closes or opens the way into a stage.
pub fn transition(pipeline: &str, stage: &StageName, closed: bool) -> Markup {
    let body = json!({"pipelineName": pipeline, "stageName": stage.as_str(), "transitionType": "Inbound"});
    let act = if closed {
        Act {
            op: "EnableStageTransition",
            label: "Open…",
            title: format!("Open the transition into {stage}?"),
            words: "What waits in front of it enters.".into(),
            body,
            fields: json!([]),
            class: "",
        }
    } else {
        Act {
            op: "DisableStageTransition",
            label: "Close…",
            title: format!("Close the transition into {stage}?"),
            words: "Nothing enters the stage until somebody opens it again. What is in it goes on.".into(),
            body,
            fields: json!([{"label": "Reason", "at": ["reason"], "most": REASON_MOST, "need": true,
                "hint": "Everybody who waits here reads it. Letters, digits, spaces and ! @ ( ) . * ? - are possible.", "pattern": REASON}]),
            class: "quiet",
        }
    };
    act.button()
}

/// Rolls a stage back to an execution that succeeded in it.
pub fn roll_back(pipeline: &str, stage: &str, target: &Execution) -> Markup {
    let act = Act {
        op: "RollbackStage",
        label: "Roll back…",
        title: format!("Roll {stage} back to execution #{}?", target.number),
        words:
            "The stage runs again with the artifacts and variables of that execution. Other stages stay as they are."
                .into(),
        body: json!({"pipelineName": pipeline, "stageName": stage, "targetPipelineExecutionId": target.id.to_string()}),
        fields: json!([]),
        class: "danger",
    };
    act.button()
}

/// Lets an execution go on without a condition.
pub fn override_condition(pipeline: &str, stage: &StageRun, kind: ConditionKind) -> Markup {
    let (word, what) = match kind {
        ConditionKind::BeforeEntry => ("BEFORE_ENTRY", "entry condition"),
        ConditionKind::OnSuccess => ("ON_SUCCESS", "success condition"),
        // The API has no word for overriding what follows a failure.
        ConditionKind::OnFailure => return html! {},
    };
    let act = Act {
        op: "OverrideStageCondition",
        label: "Override…",
        title: format!("Override the {what} of {}?", stage.name),
        words: "The execution goes on as if the condition were met.".into(),
        body: json!({"pipelineName": pipeline, "stageName": stage.name.as_str(),
            "pipelineExecutionId": stage.execution.to_string(), "conditionType": word}),
        fields: json!([]),
        class: "danger",
    };
    act.button()
}

/// Saves the definition that was typed on this page. Its version goes with it, so that nothing is saved over a newer one.
pub fn update(name: &str, version: u32) -> Markup {
    let (of, next) = (version.to_string(), (version + 1).to_string());
    let act = Act {
        op: "UpdatePipeline",
        label: "Save…",
        title: format!("Save as version {next} of {name}?"),
        words: "Executions that run are cancelled when what runs in them has ended, but for those of mode PARALLEL."
            .into(),
        body: json!({"pipeline": {"name": name}}),
        fields: json!([{"at": ["pipeline"], "typed": true}]),
        class: "main",
    };
    let then = address::with(&address::of(name, "definition"), &[("version", &next), ("against", &of)]);
    html! { span class="acts" data-of=(of) data-then=(then) { (act.button()) } }
}

/// Makes a pipeline's pictures public: the value of the tag is in what proves the links.
pub fn publish_pictures(pipeline: &PipelineName, arn: &str, value: u64) -> Markup {
    let act = Act {
        op: "TagResource",
        label: "Make public…",
        title: format!("Make the pictures of {pipeline} public?"),
        words: "Whoever has a link that this page then shows sees the names of stages and actions, and how they stand."
            .into(),
        body: json!({"resourceArn": arn, "tags": [{"key": TAG, "value": value.to_string()}]}),
        fields: json!([]),
        class: "main",
    };
    act.button()
}

/// Ends all links to a pipeline's pictures.
pub fn hide_pictures(pipeline: &PipelineName, arn: &str) -> Markup {
    let act = Act {
        op: "UntagResource",
        label: "Hide…",
        title: format!("Hide the pictures of {pipeline}?"),
        words: "All links to them end, for good: whoever makes them public again gets others.".into(),
        body: json!({"resourceArn": arn, "tagKeys": [TAG]}),
        fields: json!([]),
        class: "danger",
    };
    act.button()
}

/// Places of approvals that wait in an attempt.
pub fn asked(stage: &StageRun, of: &Pipeline) -> Vec<u8> {
    let waits = |place: u8| of.action(stage.stage, place).is_some_and(is_approval);
    stage
        .runs()
        .filter(|(place, run)| run.token.is_some() && run.status.in_flight() && waits(*place))
        .map(|(place, _)| place)
        .collect()
}

/// The id of what is at a place of an attempt, as events and the API have it.
pub fn action_id(stage: &StageRun, place: u8) -> ActionId {
    stage.id_at(place).first_turn()
}
