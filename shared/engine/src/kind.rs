//! Whose doing an action's end is.

use pipeline::Action;

/// Whether an action asks a person.
pub fn is_approval(action: &Action) -> bool {
    action.type_id.category == "Approval" && !action.is_polled()
}

/// Whether an action (or a rule) is done by a job, whose result somebody outside may put: a Lambda function or a job worker. Every
/// other action's end comes from its own provider.
pub fn is_job(action: &Action) -> bool {
    let id = &action.type_id;
    let owner = id.owner.as_deref();
    let lambda =
        [("Invoke", "Lambda"), ("Rule", "LambdaInvoke")].contains(&(id.category.as_str(), id.provider.as_str()));
    matches!(owner, Some("Custom" | "ThirdParty")) || lambda
}

/// Whether an action (or a rule) is a job that is handed to a function, which puts its result by itself.
pub fn is_function_job(action: &Action) -> bool {
    is_job(action) && !action.is_polled()
}
