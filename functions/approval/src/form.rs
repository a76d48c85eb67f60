//! The form on the approval page: reading it from a request, and checking it.

use url::form_urlencoded;

/// Source: CodePipeline API, `ApprovalResult`, `summary`.
pub const COMMENT_MOST: usize = 512;
/// The longest name, in characters.
pub const NAME_MOST: usize = 100;
/// A form with the longest values, every byte of them encoded, is smaller.
const BODY_MOST: usize = 16 * 1_024;

/// A form as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Whether to approve; `None` when no button was pressed.
    pub approved: Option<bool>,
    /// Whether it is rejected in favour of a newer execution.
    pub for_newer: bool,
    /// The name that the person gives; nobody checks whose it is.
    pub name: String,
    /// The comment, which becomes the action's summary; possibly empty.
    pub comment: String,
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is larger than any form can be.
    TooLarge,
    /// It is not an encoded form.
    NoForm,
}

impl Form {
    /// Reads the body of a request.
    pub fn read(content_type: Option<&str>, body: &[u8]) -> Result<Self, Unreadable> {
        let kind = content_type.and_then(|it| it.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Unreadable::NoForm);
        }
        if body.len() > BODY_MOST {
            return Err(Unreadable::TooLarge);
        }
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            match name.as_ref() {
                "decision" => {
                    (form.approved, form.for_newer) = match value.as_ref() {
                        "approve" => (Some(true), false),
                        "reject" => (Some(false), false),
                        "reject-for-newer" => (Some(false), true),
                        _ => return Err(Unreadable::NoForm),
                    }
                }
                "name" => form.name = clean(&value, false),
                "comment" => form.comment = clean(&value, true),
                _ => {}
            }
        }
        Ok(form)
    }

    /// The comment, and behind it the reason that a button stands for, if both have room.
    pub fn comment_with(&self, reason: &str) -> String {
        if self.comment.is_empty() {
            return reason.to_owned();
        }
        let both = format!("{}\n{reason}", self.comment);
        if both.chars().count() > COMMENT_MOST { self.comment.clone() } else { both }
    }

    /// What the person has to correct, in words for the page.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.approved.is_none() {
            faults.push("Press Approve or Reject.".to_owned());
        }
        if self.name.is_empty() {
            faults.push("Enter your name.".to_owned());
        }
        if self.name.chars().count() > NAME_MOST {
            faults.push(format!("Your name may have at most {NAME_MOST} characters."));
        }
        let length = self.comment.chars().count();
        if length > COMMENT_MOST {
            faults.push(format!("The comment may have at most {COMMENT_MOST} characters; it has {length}."));
        }
        faults
    }
}

/// Without control characters, and with one form of line ends (browsers send two characters).
fn clean(text: &str, lines: bool) -> String {
    let text = text.replace("\r\n", "\n");
    let text: String = text.chars().map(|c| if c.is_control() && !(lines && c == '\n') { ' ' } else { c }).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=UTF-8");

    #[test]
    fn a_form_is_read() {
        let form = Form::read(FORM, b"name=Ada+L%C3%B6w&comment=one%0D%0Atwo%00&decision=reject&x=y").unwrap();
        assert_eq!(
            form,
            Form { approved: Some(false), for_newer: false, name: "Ada Löw".into(), comment: "one\ntwo".into() }
        );
        assert!(form.faults().is_empty());
    }

    #[test]
    fn a_rejection_in_favour_of_a_newer_execution_says_so_in_the_comment() {
        let form = Form::read(FORM, b"name=Ada&comment=Too+old&decision=reject-for-newer").unwrap();
        assert!(form.approved == Some(false) && form.for_newer);
        assert_eq!(form.comment_with("For e2"), "Too old\nFor e2");
        assert_eq!(Form::default().comment_with("For e2"), "For e2");
        let long = Form { comment: "x".repeat(COMMENT_MOST), ..Form::default() };
        assert_eq!(long.comment_with("For e2"), long.comment);
    }

    #[test]
    fn what_is_missing_or_too_long_is_said() {
        let form = Form::read(FORM, format!("name=%20&comment={}", "%C3%A9".repeat(513)).as_bytes()).unwrap();
        let faults = form.faults();
        assert_eq!(faults.len(), 3);
        assert!(faults[2].contains("513"), "{faults:?}");
        let longest = format!("decision=approve&name=A&comment={}", "%C3%A9".repeat(512));
        assert!(Form::read(FORM, longest.as_bytes()).unwrap().faults().is_empty());
    }

    #[test]
    fn other_bodies_are_refused() {
        assert_eq!(Form::read(Some("application/json"), b"{}"), Err(Unreadable::NoForm));
        assert_eq!(Form::read(None, b"decision=approve"), Err(Unreadable::NoForm));
        assert_eq!(Form::read(FORM, b"decision=maybe"), Err(Unreadable::NoForm));
        assert_eq!(Form::read(FORM, &[b'a'; BODY_MOST + 1]), Err(Unreadable::TooLarge));
        assert_eq!(Form::read(FORM, b"\xff\xfe%").unwrap().approved, None);
    }
}
