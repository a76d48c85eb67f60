//! What CloudFormation's errors mean for an action.

use aws_sdk_cloudformation::operation::create_change_set::CreateChangeSetError;
use aws_sdk_cloudformation::operation::create_stack::CreateStackError;
use aws_sdk_cloudformation::operation::delete_change_set::DeleteChangeSetError;
use aws_sdk_cloudformation::operation::delete_stack::DeleteStackError;
use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetError;
use aws_sdk_cloudformation::operation::describe_stack_events::DescribeStackEventsError;
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;
use aws_sdk_cloudformation::operation::execute_change_set::ExecuteChangeSetError;
use aws_sdk_cloudformation::operation::set_stack_policy::SetStackPolicyError;
use aws_sdk_cloudformation::operation::update_stack::UpdateStackError;

use crate::error::{ClassifyError, ErrorClass};

impl ClassifyError for CreateStackError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::AlreadyExistsException(_)
            | Self::InsufficientCapabilitiesException(_)
            | Self::LimitExceededException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for UpdateStackError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InsufficientCapabilitiesException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for CreateChangeSetError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            // An earlier worker's, which was not there yet when this one looked.
            Self::AlreadyExistsException(_) => Some(ErrorClass::Retryable),
            Self::InsufficientCapabilitiesException(_) | Self::LimitExceededException(_) => {
                Some(ErrorClass::Configuration)
            }
            _ => None,
        }
    }
}

impl ClassifyError for ExecuteChangeSetError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::ChangeSetNotFoundException(_)
            | Self::InsufficientCapabilitiesException(_)
            | Self::InvalidChangeSetStatusException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for DeleteChangeSetError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InvalidChangeSetStatusException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for SetStackPolicyError {}
impl ClassifyError for DeleteStackError {}
impl ClassifyError for DescribeStacksError {}
impl ClassifyError for DescribeStackEventsError {}
impl ClassifyError for DescribeChangeSetError {}
