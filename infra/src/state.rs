//! What can be done with a stack in its present state.

use anyhow::{Result, bail};

/// How a stack comes to its new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// There is none, or nothing but a change set that nobody executed.
    Create,
    /// It stands, and takes a change set of what is different.
    Update,
    /// Its first creation failed: it takes no update, and is removed and made anew.
    Anew,
}

/// What a deployment does with the stack `name` in this state; nothing is a stack that does not exist.
///
/// # Errors
/// When it can do nothing; the message says who can, and how.
pub(crate) fn way(name: &str, region: &str, status: Option<&str>) -> Result<Way> {
    let aws = |command: &str| format!("`aws cloudformation {command} --stack-name {name} --region {region}`");
    let Some(status) = status else { return Ok(Way::Create) };
    match status {
        "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE" => Ok(Way::Create),
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_COMPLETE"
        // Its rollback was turned off; another update mends it.
        | "UPDATE_FAILED" | "IMPORT_ROLLBACK_COMPLETE" => Ok(Way::Update),
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => Ok(Way::Anew),
        "UPDATE_ROLLBACK_FAILED" => bail!(
            "the stack {name} in {region} is UPDATE_ROLLBACK_FAILED: an update failed, and so did the way back. Mend what \
             {} shows, finish the way back with {}, and deploy again",
            aws("describe-stack-events"),
            aws("continue-update-rollback")
        ),
        "DELETE_FAILED" => bail!(
            "the stack {name} in {region} is DELETE_FAILED: half of it is gone. `millrace destroy` removes the rest; then it \
             can be deployed again"
        ),
        "DELETE_IN_PROGRESS" => bail!("the stack {name} in {region} is being deleted; deploy again when it is gone"),
        busy if busy.ends_with("_IN_PROGRESS") => bail!(
            "the stack {name} in {region} is {busy}: somebody else is deploying it. Nothing was done; deploy again when that \
             has ended"
        ),
        other => bail!("the stack {name} in {region} is {other}; {} says more", aws("describe-stack-events")),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::StackStatus;

    use super::*;

    #[test]
    fn each_state_has_its_way_or_says_what_to_do() {
        assert_eq!(way("m", "r", None).unwrap(), Way::Create);
        assert_eq!(way("m", "r", Some("REVIEW_IN_PROGRESS")).unwrap(), Way::Create);
        assert_eq!(way("m", "r", Some("ROLLBACK_COMPLETE")).unwrap(), Way::Anew);
        for standing in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"] {
            assert_eq!(way("m", "r", Some(standing)).unwrap(), Way::Update);
        }
        let words = |status: &str| way("m", "r", Some(status)).unwrap_err().to_string();
        assert!(words("UPDATE_ROLLBACK_FAILED").contains("continue-update-rollback --stack-name m --region r"));
        assert!(words("DELETE_FAILED").contains("millrace destroy"));
        assert!(words("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS").contains("somebody else is deploying"));
    }

    #[test]
    fn no_state_of_cloudformation_is_forgotten() {
        for status in StackStatus::values() {
            match way("m", "r", Some(status)) {
                Err(error) if error.to_string().contains("says more") => {
                    assert!(status.starts_with("IMPORT_"), "{status}: {error}");
                }
                _ => {}
            }
        }
    }
}
