//! The operations of CodePipeline and, for each, the SDK's types of its input and output.

use aws_smithy_schema::serde::{SerdeError, SerializableStruct, ShapeDeserializer};

/// Calls `$then` with one row for each operation: its name, its module in the SDK, its input and its output type.
///
/// The one list from which everything that exists per operation is made; a test holds it against the model's table.
macro_rules! with_operations {
    ($then:ident) => {
        $then! {
            AcknowledgeJob, acknowledge_job, AcknowledgeJobInput, AcknowledgeJobOutput;
            AcknowledgeThirdPartyJob, acknowledge_third_party_job, AcknowledgeThirdPartyJobInput, AcknowledgeThirdPartyJobOutput;
            CreateCustomActionType, create_custom_action_type, CreateCustomActionTypeInput, CreateCustomActionTypeOutput;
            CreatePipeline, create_pipeline, CreatePipelineInput, CreatePipelineOutput;
            DeleteCustomActionType, delete_custom_action_type, DeleteCustomActionTypeInput, DeleteCustomActionTypeOutput;
            DeletePipeline, delete_pipeline, DeletePipelineInput, DeletePipelineOutput;
            DeleteWebhook, delete_webhook, DeleteWebhookInput, DeleteWebhookOutput;
            DeregisterWebhookWithThirdParty, deregister_webhook_with_third_party, DeregisterWebhookWithThirdPartyInput, DeregisterWebhookWithThirdPartyOutput;
            DisableStageTransition, disable_stage_transition, DisableStageTransitionInput, DisableStageTransitionOutput;
            EnableStageTransition, enable_stage_transition, EnableStageTransitionInput, EnableStageTransitionOutput;
            GetActionType, get_action_type, GetActionTypeInput, GetActionTypeOutput;
            GetJobDetails, get_job_details, GetJobDetailsInput, GetJobDetailsOutput;
            GetPipeline, get_pipeline, GetPipelineInput, GetPipelineOutput;
            GetPipelineExecution, get_pipeline_execution, GetPipelineExecutionInput, GetPipelineExecutionOutput;
            GetPipelineState, get_pipeline_state, GetPipelineStateInput, GetPipelineStateOutput;
            GetThirdPartyJobDetails, get_third_party_job_details, GetThirdPartyJobDetailsInput, GetThirdPartyJobDetailsOutput;
            ListActionExecutions, list_action_executions, ListActionExecutionsInput, ListActionExecutionsOutput;
            ListActionTypes, list_action_types, ListActionTypesInput, ListActionTypesOutput;
            ListDeployActionExecutionTargets, list_deploy_action_execution_targets, ListDeployActionExecutionTargetsInput, ListDeployActionExecutionTargetsOutput;
            ListPipelineExecutions, list_pipeline_executions, ListPipelineExecutionsInput, ListPipelineExecutionsOutput;
            ListPipelines, list_pipelines, ListPipelinesInput, ListPipelinesOutput;
            ListRuleExecutions, list_rule_executions, ListRuleExecutionsInput, ListRuleExecutionsOutput;
            ListRuleTypes, list_rule_types, ListRuleTypesInput, ListRuleTypesOutput;
            ListTagsForResource, list_tags_for_resource, ListTagsForResourceInput, ListTagsForResourceOutput;
            ListWebhooks, list_webhooks, ListWebhooksInput, ListWebhooksOutput;
            OverrideStageCondition, override_stage_condition, OverrideStageConditionInput, OverrideStageConditionOutput;
            PollForJobs, poll_for_jobs, PollForJobsInput, PollForJobsOutput;
            PollForThirdPartyJobs, poll_for_third_party_jobs, PollForThirdPartyJobsInput, PollForThirdPartyJobsOutput;
            PutActionRevision, put_action_revision, PutActionRevisionInput, PutActionRevisionOutput;
            PutApprovalResult, put_approval_result, PutApprovalResultInput, PutApprovalResultOutput;
            PutJobFailureResult, put_job_failure_result, PutJobFailureResultInput, PutJobFailureResultOutput;
            PutJobSuccessResult, put_job_success_result, PutJobSuccessResultInput, PutJobSuccessResultOutput;
            PutThirdPartyJobFailureResult, put_third_party_job_failure_result, PutThirdPartyJobFailureResultInput, PutThirdPartyJobFailureResultOutput;
            PutThirdPartyJobSuccessResult, put_third_party_job_success_result, PutThirdPartyJobSuccessResultInput, PutThirdPartyJobSuccessResultOutput;
            PutWebhook, put_webhook, PutWebhookInput, PutWebhookOutput;
            RegisterWebhookWithThirdParty, register_webhook_with_third_party, RegisterWebhookWithThirdPartyInput, RegisterWebhookWithThirdPartyOutput;
            RetryStageExecution, retry_stage_execution, RetryStageExecutionInput, RetryStageExecutionOutput;
            RollbackStage, rollback_stage, RollbackStageInput, RollbackStageOutput;
            StartPipelineExecution, start_pipeline_execution, StartPipelineExecutionInput, StartPipelineExecutionOutput;
            StopPipelineExecution, stop_pipeline_execution, StopPipelineExecutionInput, StopPipelineExecutionOutput;
            TagResource, tag_resource, TagResourceInput, TagResourceOutput;
            UntagResource, untag_resource, UntagResourceInput, UntagResourceOutput;
            UpdateActionType, update_action_type, UpdateActionTypeInput, UpdateActionTypeOutput;
            UpdatePipeline, update_pipeline, UpdatePipelineInput, UpdatePipelineOutput;
        }
    };
}

/// An SDK structure that can be read from the wire. Every input, output and nested type of CodePipeline's API has it.
pub trait Shape: SerializableStruct + Sized {
    /// Reads the structure. Missing required members come out as the SDK's defaults, so check constraints as well.
    ///
    /// # Errors
    /// What the codec says when the bytes are malformed or of other types than the model's.
    fn read(from: &mut dyn ShapeDeserializer) -> Result<Self, SerdeError>;
}

/// The input of an operation.
pub trait Input: Shape {
    /// The operation whose input this is.
    const OPERATION: Operation;
    /// What the operation answers with.
    type Output: Shape;
}

macro_rules! shapes {
    ($($shape:path),+ $(,)?) => {$(
        impl Shape for $shape {
            fn read(from: &mut dyn ShapeDeserializer) -> Result<Self, SerdeError> {
                Self::deserialize(from)
            }
        }
    )+};
}

macro_rules! operations {
    ($($name:ident, $module:ident, $input:ident, $output:ident;)+) => {
        /// An operation of the CodePipeline API, version 2015-07-09.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the variants are the API's own names")]
        pub enum Operation {
            $($name),+
        }

        impl Operation {
            /// Every operation, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The operation's name in the API, such as `CreatePipeline`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),+
                }
            }
        }

        impl std::str::FromStr for Operation {
            type Err = NoSuchOperation;

            fn from_str(name: &str) -> Result<Self, NoSuchOperation> {
                match name {
                    $(stringify!($name) => Ok(Self::$name),)+
                    _ => Err(NoSuchOperation),
                }
            }
        }

        $(
            shapes!(
                aws_sdk_codepipeline::operation::$module::$input,
                aws_sdk_codepipeline::operation::$module::$output,
            );

            impl Input for aws_sdk_codepipeline::operation::$module::$input {
                const OPERATION: Operation = Operation::$name;
                type Output = aws_sdk_codepipeline::operation::$module::$output;
            }
        )+
    };
}

with_operations!(operations);

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is not one of CodePipeline's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("CodePipeline has no operation of this name")]
pub struct NoSuchOperation;

mod types {
    //! Every structure inside the inputs and outputs, so that each can cross the JSON bridge on its own.
    // Named, as the API has a type of that name too.
    use std::result::Result;

    use aws_sdk_codepipeline::types::*;

    use super::{SerdeError, Shape, ShapeDeserializer};

    shapes!(
        ActionConfiguration,
        ActionConfigurationProperty,
        ActionContext,
        ActionDeclaration,
        ActionExecution,
        ActionExecutionDetail,
        ActionExecutionFilter,
        ActionExecutionInput,
        ActionExecutionOutput,
        ActionExecutionResult,
        ActionRevision,
        ActionState,
        ActionType,
        ActionTypeArtifactDetails,
        ActionTypeDeclaration,
        ActionTypeExecutor,
        ActionTypeId,
        ActionTypeIdentifier,
        ActionTypePermissions,
        ActionTypeProperty,
        ActionTypeSettings,
        ActionTypeUrls,
        ApprovalResult,
        Artifact,
        ArtifactDetail,
        ArtifactDetails,
        ArtifactLocation,
        ArtifactRevision,
        ArtifactStore,
        AwsSessionCredentials,
        BeforeEntryConditions,
        BlockerDeclaration,
        Condition,
        ConditionExecution,
        ConditionState,
        CurrentRevision,
        DeployActionExecutionTarget,
        DeployTargetEvent,
        DeployTargetEventContext,
        EncryptionKey,
        EnvironmentVariable,
        ErrorDetails,
        ExecutionDetails,
        ExecutionTrigger,
        ExecutorConfiguration,
        FailureConditions,
        FailureDetails,
        GitBranchFilterCriteria,
        GitConfiguration,
        GitFilePathFilterCriteria,
        GitPullRequestFilter,
        GitPushFilter,
        GitTagFilterCriteria,
        InputArtifact,
        Job,
        JobData,
        JobDetails,
        JobWorkerExecutorConfiguration,
        LambdaExecutorConfiguration,
        LatestInPipelineExecutionFilter,
        ListWebhookItem,
        OutputArtifact,
        PipelineContext,
        PipelineDeclaration,
        PipelineExecution,
        PipelineExecutionFilter,
        PipelineExecutionSummary,
        PipelineMetadata,
        PipelineRollbackMetadata,
        PipelineSummary,
        PipelineTriggerDeclaration,
        PipelineVariable,
        PipelineVariableDeclaration,
        ResolvedPipelineVariable,
        RetryConfiguration,
        RetryStageMetadata,
        RuleConfigurationProperty,
        RuleDeclaration,
        RuleExecution,
        RuleExecutionDetail,
        RuleExecutionFilter,
        RuleExecutionInput,
        RuleExecutionOutput,
        RuleExecutionResult,
        RuleRevision,
        RuleState,
        RuleType,
        RuleTypeId,
        RuleTypeSettings,
        S3ArtifactLocation,
        S3Location,
        SourceRevision,
        SourceRevisionOverride,
        StageConditionState,
        StageConditionsExecution,
        StageContext,
        StageDeclaration,
        StageExecution,
        StageState,
        StopExecutionTrigger,
        SucceededInStageFilter,
        SuccessConditions,
        Tag,
        TargetFilter,
        ThirdPartyJob,
        ThirdPartyJobData,
        ThirdPartyJobDetails,
        TransitionState,
        WebhookAuthConfiguration,
        WebhookDefinition,
        WebhookFilterRule,
    );
}
