//! The rules of stage conditions. A rule is a task as an action's is: its success means that the rule holds, its failure
//! that it does not, and why. Source: CodePipeline user guide, 'Rule structure reference'.
//!
//! | rule | file | ends |
//! |---|---|---|
//! | CloudWatchAlarm | `cloudwatch_alarm` | when the alarm is in a wanted state, or the time to wait or watch is over |
//! | CodeBuild | `crate::codebuild` | by event or poll |
//! | Commands | `crate::commands` | by event or poll |
//! | DeploymentWindow | `deployment_window` | when the window is open |
//! | LambdaInvoke | `crate::lambda_invoke` | when the function reports its job's result |
//! | VariableCheck | `variable_check` | at once |

pub(crate) mod cloudwatch_alarm;
pub(crate) mod deployment_window;
pub(crate) mod variable_check;
