//! The rules of stage conditions. A rule is a task as an action's is: its success means that the rule holds, its failure
//! that it does not, and why. Source: CodePipeline user guide, 'Rule structure reference'.
//!
//! | rule | file | ends |
//! |---|---|---|
//! | CloudWatchAlarm | `cloudwatch_alarm` | when the alarm is in a wanted state, or has been waited for |
//! | DeploymentWindow | `deployment_window` | when the window is open |
//! | LambdaInvoke | `crate::lambda_invoke` | when the function reports its job's result |
//! | VariableCheck | `variable_check` | at once |

use driver::Task;
use pipeline::ConditionKind;

mod cloudwatch_alarm;
mod deployment_window;
mod variable_check;

pub(crate) use cloudwatch_alarm::CloudWatchAlarm;
pub(crate) use deployment_window::DeploymentWindow;
pub(crate) use variable_check::VariableCheck;

/// Whether the rule belongs to the condition `onFailure`.
fn after_failure(task: &Task) -> bool {
    matches!(ConditionKind::at(task.id.action), Some((ConditionKind::OnFailure, _)))
}
