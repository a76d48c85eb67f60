//! The JSON bridge, with the largest structure there is.

use aws_sdk_codepipeline::operation::create_pipeline::CreatePipelineInput;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionDeclaration, ActionOwner, ActionTypeId, ArtifactStore, ArtifactStoreType, Condition,
    EncryptionKey, EncryptionKeyType, EnvironmentVariable, ExecutionMode, FailureConditions, GitBranchFilterCriteria,
    GitConfiguration, GitPushFilter, GitTagFilterCriteria, InputArtifact, OutputArtifact, PipelineDeclaration,
    PipelineTriggerDeclaration, PipelineTriggerProviderType, PipelineType, PipelineVariableDeclaration,
    Result as OnFailure, RetryConfiguration, RuleDeclaration, RuleTypeId, StageDeclaration, StageRetryMode,
};
use serde_json::json;

use super::BOTH;
use crate::constraints::table;
use crate::constraints::table::Shape;
use crate::{decode, encode, from_json, to_json};

fn store(location: &str) -> ArtifactStore {
    let key = EncryptionKey::builder().id("alias/aws/s3").r#type(EncryptionKeyType::Kms).build().unwrap();
    ArtifactStore::builder().r#type(ArtifactStoreType::S3).location(location).encryption_key(key).build().unwrap()
}

fn action(name: &str) -> ActionDeclaration {
    let kind = ActionTypeId::builder()
        .category(ActionCategory::Build)
        .owner(ActionOwner::Aws)
        .provider("CodeBuild")
        .version("1")
        .build()
        .unwrap();
    let variable = EnvironmentVariable::builder().name("LEVEL").value("debug").build().unwrap();
    ActionDeclaration::builder()
        .name(name)
        .action_type_id(kind)
        .run_order(2)
        .configuration("ProjectName", "build")
        .configuration("Unicode", "\u{1F6A2} \"quoted\"\nline")
        .commands("make")
        .output_artifacts(OutputArtifact::builder().name("out").files("a/b").build().unwrap())
        .input_artifacts(InputArtifact::builder().name("in").build().unwrap())
        .output_variables("VERSION")
        .role_arn("arn:aws:iam::123456789012:role/build")
        .region("eu-west-1")
        .namespace("Build")
        .timeout_in_minutes(60)
        .environment_variables(variable)
        .build()
        .unwrap()
}

fn condition() -> Condition {
    let kind = RuleTypeId::builder().category("Rule".into()).provider("CloudWatchAlarm").build().unwrap();
    let rule = RuleDeclaration::builder()
        .name("Alarm")
        .rule_type_id(kind)
        .configuration("AlarmName", "errors")
        .commands("true")
        .input_artifacts(InputArtifact::builder().name("in").build().unwrap())
        .role_arn("arn:aws:iam::123456789012:role/rule")
        .region("eu-west-1")
        .timeout_in_minutes(5)
        .build()
        .unwrap();
    Condition::builder().result(OnFailure::Rollback).rules(rule).build()
}

fn release() -> PipelineDeclaration {
    let retry = RetryConfiguration::builder().retry_mode(StageRetryMode::FailedActions).build();
    let failure = FailureConditions::builder()
        .result(OnFailure::Retry)
        .retry_configuration(retry)
        .conditions(condition())
        .build();
    let stage = StageDeclaration::builder()
        .name("Build")
        .actions(action("Compile"))
        .actions(action("Test"))
        .on_failure(failure)
        .build()
        .unwrap();
    let push = GitPushFilter::builder()
        .tags(GitTagFilterCriteria::builder().includes("v*").excludes("v0").build())
        .branches(GitBranchFilterCriteria::builder().includes("main").build())
        .build();
    let git = GitConfiguration::builder().source_action_name("Source").push(push).build().unwrap();
    let trigger = PipelineTriggerDeclaration::builder()
        .provider_type(PipelineTriggerProviderType::CodeStarSourceConnection)
        .git_configuration(git)
        .build()
        .unwrap();
    let variable =
        PipelineVariableDeclaration::builder().name("Level").default_value("1").description("").build().unwrap();
    PipelineDeclaration::builder()
        .name("release")
        .role_arn("arn:aws:iam::123456789012:role/release")
        .artifact_stores("us-east-1", store("artifacts-us"))
        .artifact_stores("eu-west-1", store("artifacts-eu"))
        .stages(stage)
        .version(7)
        .execution_mode(ExecutionMode::Parallel)
        .pipeline_type(PipelineType::V2)
        .triggers(trigger)
        .variables(variable)
        .build()
        .unwrap()
}

#[test]
fn a_declaration_goes_to_json_and_back_unchanged() {
    let release = release();
    let json = to_json(&release).unwrap();
    assert_eq!(from_json::<PipelineDeclaration>(&json).unwrap(), release);
    assert_eq!(json["pipelineType"], "V2");
    assert_eq!(json["artifactStores"]["eu-west-1"]["location"], "artifacts-eu");
    assert_eq!(json["stages"][0]["actions"][0]["configuration"]["Unicode"], "\u{1F6A2} \"quoted\"\nline");
    assert_eq!(
        json["stages"][0]["onFailure"]["conditions"][0]["rules"][0]["ruleTypeId"]["provider"],
        "CloudWatchAlarm"
    );
    assert_eq!(
        json["triggers"][0]["gitConfiguration"]["push"][0]["tags"],
        json!({"includes": ["v*"], "excludes": ["v0"]})
    );
}

#[test]
fn a_declaration_with_every_member_of_the_model_goes_there_and_back_unchanged() {
    let whole = testkit::model::sample::value("PipelineDeclaration");
    let Some(Shape::Structure { members }) = table().shape("PipelineDeclaration") else { panic!("a structure") };
    assert_eq!(whole.as_object().unwrap().len(), members.len());
    let declaration: PipelineDeclaration = from_json(&whole).unwrap();
    assert_eq!(to_json(&declaration).unwrap(), whole);
}

#[test]
fn a_create_pipeline_call_goes_there_and_back() {
    let input = CreatePipelineInput::builder().pipeline(release()).build().unwrap();
    for protocol in BOTH {
        let body = encode(protocol, &input).into_body();
        assert_eq!(decode::<CreatePipelineInput>(protocol, &body).unwrap(), input, "{protocol:?}");
    }
}
