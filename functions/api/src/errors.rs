//! What the driver refuses, as the exceptions that CodePipeline's model gives each operation.

use driver::DriveError;
use engine::Refusal;
use pipeline::webhook::InvalidTarget;
use pipeline::{Kind, Violation};
use store::StoreError;
use wire::{ApiError, Exception, Operation};

/// The exception with which `operation` answers `error`, with a message that says what and where.
pub fn exception(account: &str, operation: Operation, error: DriveError) -> ApiError {
    let message = error.to_string();
    let exception = match &error {
        DriveError::PipelineNotFound(name) => return no_pipeline(account, operation, name),
        DriveError::Refused(Refusal::Nothing) => {
            return no_such_pipeline(operation).because("The pipeline has been deleted.");
        }
        DriveError::Invalid(invalid) if declares(operation) => return violation(invalid.first()),
        DriveError::VersionNotFound { .. } if operation == Operation::GetPipeline => {
            Exception::PipelineVersionNotFoundException
        }
        DriveError::NameInUse(_) if operation == Operation::CreatePipeline => Exception::PipelineNameInUseException,
        DriveError::Name(_) | DriveError::Variables(_) | DriveError::ActionType(_) => Exception::ValidationException,
        DriveError::VersionIsOld { .. } => Exception::ValidationException,
        DriveError::ActionTypeNotFound(_) => no_such_type(operation),
        DriveError::ActionTypeLimit(_) => Exception::LimitExceededException,
        DriveError::ExecutionNotFound(_) | DriveError::JobNotFound(_) => missing(operation),
        DriveError::StageNotFound { .. } if !wire::allowed(operation, Exception::StageNotFoundException) => {
            Exception::ValidationException
        }
        DriveError::StageNotFound { .. } => Exception::StageNotFoundException,
        DriveError::ActionNotFound { .. } if wire::allowed(operation, Exception::ActionNotFoundException) => {
            Exception::ActionNotFoundException
        }
        DriveError::ActionNotFound { .. } | DriveError::Overrides(_) | DriveError::NotReported { .. } => {
            Exception::ValidationException
        }
        DriveError::WebhookNotFound(_) => match operation {
            Operation::TagResource | Operation::UntagResource | Operation::ListTagsForResource => {
                Exception::ResourceNotFoundException
            }
            _ => Exception::WebhookNotFoundException,
        },
        DriveError::WebhookLimit | DriveError::PollingLimit => Exception::LimitExceededException,
        DriveError::WebhookTarget(InvalidTarget::Filter(_)) => Exception::InvalidWebhookFilterPatternException,
        DriveError::WebhookTarget(InvalidTarget::Action { .. }) | DriveError::NoThirdParty(_) => {
            Exception::ValidationException
        }
        DriveError::WebhookAuthentication(_) => Exception::InvalidWebhookAuthenticationParametersException,
        // Whoever only asks is not told of the states that a job went through.
        DriveError::Refused(Refusal::StaleJob(_)) if asks_for_job(operation) => missing(operation),
        DriveError::Refused(refusal) => refused(operation, refusal),
        DriveError::Store(StoreError::Cursor) => Exception::InvalidNextTokenException,
        DriveError::Store(StoreError::Conflict(_)) => {
            return Exception::ThrottlingException
                .because("Others are changing the same thing at the same time: try again.");
        }
        DriveError::Store(StoreError::Refused(_)) if declares(operation) => {
            return Exception::LimitExceededException
                .because("The pipeline's declaration is too large to be stored: a version takes at most 400 KB.");
        }
        DriveError::Invalid(_)
        | DriveError::VersionNotFound { .. }
        | DriveError::NameInUse(_)
        | DriveError::ArtifactStore(_)
        | DriveError::Missing(_)
        | DriveError::Dispatch(_)
        | DriveError::Source(_)
        | DriveError::Store(_) => return internal(operation, &error),
    };
    if wire::allowed(operation, exception) { exception.because(message) } else { internal(operation, &error) }
}

/// A rule of the declaration, with its place in the JSON.
pub fn violation(violation: &Violation) -> ApiError {
    let exception = match violation.kind {
        Kind::Validation => Exception::ValidationException,
        Kind::InvalidStructure => Exception::InvalidStructureException,
        Kind::InvalidStageDeclaration => Exception::InvalidStageDeclarationException,
        Kind::InvalidActionDeclaration => Exception::InvalidActionDeclarationException,
    };
    exception.because(format!("{} (at {})", violation.message, violation.path))
}

/// That the account has no such pipeline, in AWS's words.
pub fn no_pipeline(account: &str, operation: Operation, name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    no_such_pipeline(operation).because(match operation {
        Operation::StartPipelineExecution => {
            format!("Pipeline with name {name} does not exist in account {account}.")
        }
        _ => format!("The account with id '{account}' does not include a pipeline with the name '{name}'"),
    })
}

/// A fault of ours. The caller learns that there is one, the log what it is.
pub fn internal(operation: Operation, error: &DriveError) -> ApiError {
    // What cannot be read may hold a secret, and the reader's words may quote it.
    let cause = match error {
        DriveError::Store(StoreError::Corrupt { key, .. }) => format!("the item {key} cannot be read"),
        DriveError::Invalid(_) => "a stored declaration breaks the rules".to_owned(),
        error => error.to_string(),
    };
    tracing::error!(%operation, cause, "internal failure");
    Exception::InternalFailure.because(match error {
        DriveError::Store(StoreError::Unavailable(_)) => "The table did not answer: try again.",
        DriveError::ArtifactStore(_) => "The artifact store did not answer: try again.",
        _ => "Something is wrong with Millrace itself; its log says what.",
    })
}

fn declares(operation: Operation) -> bool {
    matches!(operation, Operation::CreatePipeline | Operation::UpdatePipeline)
}

/// The model gives not every operation `PipelineNotFoundException`.
fn no_such_pipeline(operation: Operation) -> Exception {
    match operation {
        Operation::TagResource | Operation::UntagResource | Operation::ListTagsForResource => {
            Exception::ResourceNotFoundException
        }
        Operation::UpdatePipeline => Exception::InvalidStructureException,
        operation if wire::allowed(operation, Exception::PipelineNotFoundException) => {
            Exception::PipelineNotFoundException
        }
        _ => Exception::ValidationException,
    }
}

/// That there is no such action type: the name for that depends on what was asked.
fn no_such_type(operation: Operation) -> Exception {
    [Exception::ActionTypeNotFoundException, Exception::ResourceNotFoundException]
        .into_iter()
        .find(|exception| wire::allowed(operation, *exception))
        .unwrap_or(Exception::ValidationException)
}

fn asks_for_job(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::GetJobDetails
            | Operation::AcknowledgeJob
            | Operation::GetThirdPartyJobDetails
            | Operation::AcknowledgeThirdPartyJob
    )
}

/// What an id leads to is not there.
fn missing(operation: Operation) -> Exception {
    match operation {
        operation if wire::allowed(operation, Exception::JobNotFoundException) => Exception::JobNotFoundException,
        Operation::PutApprovalResult => Exception::InvalidApprovalTokenException,
        // The model gives these no exception for an execution that is not there.
        Operation::StopPipelineExecution => Exception::PipelineExecutionNotStoppableException,
        Operation::RetryStageExecution | Operation::OverrideStageCondition => {
            Exception::NotLatestPipelineExecutionException
        }
        Operation::ListDeployActionExecutionTargets => Exception::ActionExecutionNotFoundException,
        _ => Exception::PipelineExecutionNotFoundException,
    }
}

fn refused(operation: Operation, refusal: &Refusal) -> Exception {
    match refusal {
        Refusal::UnknownAction(_) => missing(operation),
        Refusal::WrongState { .. } | Refusal::StaleJob(_) | Refusal::NotAcknowledged(_) | Refusal::ClaimLost => {
            Exception::InvalidJobStateException
        }
        Refusal::WrongNonce(_) => Exception::InvalidNonceException,
        Refusal::WrongClientToken(_) => Exception::InvalidClientTokenException,
        Refusal::WrongToken { .. } => Exception::InvalidApprovalTokenException,
        Refusal::AlreadyAnswered { .. } => Exception::ApprovalAlreadyCompletedException,
        Refusal::OwnExecution { .. } | Refusal::Unproven { .. } => Exception::AccessDeniedException,
        Refusal::TooManyExecutions(_) => Exception::ConcurrentPipelineExecutionsLimitExceededException,
        Refusal::AlreadyStopping(_) => Exception::DuplicatedStopRequestException,
        Refusal::NotStoppable { .. } => Exception::PipelineExecutionNotStoppableException,
        Refusal::NotRetryable { .. } => Exception::StageNotRetryableException,
        Refusal::NotLatest { .. } => Exception::NotLatestPipelineExecutionException,
        Refusal::Busy(_) => Exception::ConflictException,
        Refusal::NotRollable { .. } => Exception::UnableToRollbackStageException,
        Refusal::Outdated(_) => Exception::PipelineExecutionOutdatedException,
        Refusal::NotOverridable { .. } => Exception::ConditionNotOverridableException,
        Refusal::NoTransitions => Exception::ValidationException,
        Refusal::JobTaken(_) | Refusal::LocksNeeded | Refusal::PipelineUpdated | Refusal::Nothing => {
            Exception::InternalFailure
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{ActionId, ExecutionId};
    use uuid::Uuid;

    fn every_error() -> Vec<DriveError> {
        let action: ActionId = ExecutionId::from_random(Uuid::from_u128(7)).action(1, 0, 1);
        let text = || "release".to_owned();
        let invalid = pipeline::Pipeline::try_from(pipeline::Declaration::default()).unwrap_err();
        let refusals = [
            Refusal::UnknownAction(action),
            Refusal::WrongState { action: text(), stage: text(), status: "succeeded" },
            Refusal::ClaimLost,
            Refusal::StaleJob(action),
            Refusal::JobTaken(action),
            Refusal::NotAcknowledged(action),
            Refusal::WrongNonce(action),
            Refusal::WrongClientToken(action),
            Refusal::WrongToken { action: text(), stage: text() },
            Refusal::AlreadyAnswered { action: text(), stage: text() },
            Refusal::OwnExecution { action: text(), stage: text(), starter: text() },
            Refusal::Unproven { action: text(), stage: text() },
            Refusal::TooManyExecutions(50),
            Refusal::AlreadyStopping(action.execution),
            Refusal::NotStoppable { execution: action.execution, status: "failed" },
            Refusal::NotRetryable { stage: text(), reason: "it has not failed" },
            Refusal::NotLatest { execution: action.execution, stage: text() },
            Refusal::Busy(text()),
            Refusal::NotRollable { stage: text(), reason: "it is running" },
            Refusal::Outdated(action.execution),
            Refusal::NotOverridable { stage: text(), reason: "it is met" },
            Refusal::NoTransitions,
            Refusal::LocksNeeded,
            Refusal::PipelineUpdated,
            Refusal::Nothing,
        ];
        let stores = [
            StoreError::Conflict(text()),
            StoreError::Corrupt { key: text(), cause: "invalid type: string \"hunter2\"".to_owned() },
            StoreError::Cursor,
            StoreError::Refused(text()),
            StoreError::Unavailable(text()),
        ];
        let mut all = vec![
            DriveError::PipelineNotFound(text()),
            DriveError::VersionNotFound { pipeline: text(), version: 7 },
            DriveError::VersionIsOld { pipeline: text(), version: 7, newest: 8 },
            DriveError::NameInUse(text()),
            DriveError::Invalid(invalid),
            DriveError::Name(pipeline::PipelineName::new("a b").unwrap_err()),
            DriveError::Variables(engine::InvalidVariables::V1(pipeline::PipelineName::new("a").unwrap())),
            DriveError::ExecutionNotFound(text()),
            DriveError::StageNotFound { pipeline: text(), stage: text() },
            DriveError::ActionNotFound { pipeline: text(), stage: text(), action: text() },
            DriveError::JobNotFound(text()),
            DriveError::Overrides(engine::InvalidOverride::UnknownAction(pipeline::ActionName::new("a").unwrap())),
            DriveError::NotReported { pipeline: text(), action: text() },
            DriveError::WebhookNotFound(text()),
            DriveError::WebhookLimit,
            DriveError::PollingLimit,
            DriveError::WebhookAuthentication(pipeline::webhook::Authentication::new("IP", None, None).unwrap_err()),
            DriveError::NoThirdParty(text()),
            DriveError::ActionTypeNotFound(text()),
            DriveError::ActionType(text()),
            DriveError::ActionTypeLimit(50),
            DriveError::Missing(text()),
            DriveError::ArtifactStore(text()),
        ];
        all.extend(refusals.map(DriveError::Refused));
        all.extend(stores.map(DriveError::Store));
        all
    }

    #[test]
    fn each_operation_answers_each_error_with_an_exception_of_its_own() {
        for &operation in Operation::ALL {
            for error in every_error() {
                let text = format!("{operation}: {error:?}");
                let answer = exception("111122223333", operation, error);
                assert!(wire::allowed(operation, answer.exception), "{text} became {answer}");
                assert!(!answer.message.is_empty() && !answer.message.contains("hunter2"), "{text}");
            }
        }
    }

    #[test]
    fn a_violation_keeps_its_exception_and_its_place() {
        for kind in
            [Kind::Validation, Kind::InvalidStructure, Kind::InvalidStageDeclaration, Kind::InvalidActionDeclaration]
        {
            let found =
                Violation { path: "pipeline.stages.2.member.name".into(), kind, message: "It is taken.".into() };
            let error = violation(&found);
            assert_eq!(error.exception.name(), kind.exception());
            assert_eq!(error.message, "It is taken. (at pipeline.stages.2.member.name)");
        }
    }

    #[test]
    fn who_was_first_is_for_the_client_to_repeat_and_a_fault_is_ours() {
        let of = |error| exception("1", Operation::StartPipelineExecution, DriveError::Store(error)).exception;
        assert_eq!(of(StoreError::Conflict("x".into())), Exception::ThrottlingException);
        assert_eq!(of(StoreError::Unavailable("x".into())).status(), 500);
    }
}
