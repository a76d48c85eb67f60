//! Rule/VariableCheck: compares a variable's value. Source: CodePipeline user guide, 'VariableCheck'.
//!
//! Patterns are regular expressions without look-around and back-references, which are the only ones that end in a
//! bounded time; `\d`, `\w` and `\s` mean ASCII, as in Java. Like Java's `matches`, a pattern must fit all of the value.

use std::fmt;

use async_trait::async_trait;
use driver::{Outcome, Task};
use engine::{Progress, Success};
use regex_lite::RegexBuilder;
use serde::Deserialize;

use crate::configuration::{read_with_empty, shown};
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};
use crate::permission::Permissions;
use crate::provider::{Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id, unchanged};

/// Most bytes of a compiled pattern: with the longest configuration it bounds the time that matching takes, to seconds.
const PATTERN_BYTES: usize = 32 * 1024;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo::of(
        &[Implements::aws("Rule", "VariableCheck")],
        PERMISSIONS,
        Documentation { file: file!(), ends: "at once", tried: Tried::Emulators, differs: "None known." },
    ),
    provider: &VariableCheck,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[]);

/// A variable can be empty, and something can be expected to be.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    operator: Operator,
    variable: &'a str,
    value: &'a str,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Operator {
    Eq,
    Ne,
    Contains,
    Matches,
}

struct VariableCheck;

#[async_trait]
impl Provider for VariableCheck {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        check(context.task)
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }
}

fn check(task: &Task) -> Result<Outcome, ProviderError> {
    let Configuration { operator, variable, value } = read_with_empty(task)?;
    let comparison = format!("{:?} {operator} {:?}", shown(variable), shown(value));
    if !holds(operator, variable, value).map_err(ProviderError::configuration)? {
        return Err(ProviderError::failed(JOB_FAILED, format!("{comparison} does not hold")));
    }
    let report = Progress { summary: Some(format!("{comparison} holds")), ..Progress::default() };
    Ok(Outcome::Succeeded(Success { report, ..Success::default() }))
}

/// Whether the comparison holds; what is wrong with it when it cannot be made.
fn holds(operator: Operator, variable: &str, value: &str) -> Result<bool, String> {
    match operator {
        Operator::Eq => Ok(variable == value),
        Operator::Ne => Ok(variable != value),
        Operator::Contains => Ok(variable.contains(value)),
        Operator::Matches => {
            let compile = |pattern: &str| {
                let compiled = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
                compiled.map_err(|why| format!("Value is {:?}: it is no regular expression: {why}", shown(value)))
            };
            // By itself first: what is no pattern must not become one inside the other.
            compile(value)?;
            Ok(compile(&format!(r"\A(?:{value})\z"))?.is_match(variable))
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "EQ",
            Self::Ne => "NE",
            Self::Contains => "CONTAINS",
            Self::Matches => "MATCHES",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn operators_compare() {
        for (variable, operator, value, expected) in [
            ("main", Operator::Eq, "main", true),
            ("main", Operator::Eq, "Main", false),
            ("", Operator::Eq, "", true),
            ("main", Operator::Ne, "main", false),
            ("dev", Operator::Ne, "main", true),
            ("an update of it", Operator::Contains, "update", true),
            ("an Update of it", Operator::Contains, "update", false),
            ("release/7", Operator::Matches, r"release/\d+", true),
            ("release/7", Operator::Matches, "release", false),
            ("release/7", Operator::Matches, ".*", true),
            ("ab", Operator::Matches, "a|ab", true),
            ("a\nb", Operator::Matches, "a.b", false),
            ("a\nb", Operator::Matches, "(?s)a.b", true),
            ("Main", Operator::Matches, "(?i)main", true),
            ("٣", Operator::Matches, r"\d", false),
            ("", Operator::Matches, "", true),
        ] {
            assert_eq!(holds(operator, variable, value), Ok(expected), "{variable} {operator} {value}");
        }
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        for pattern in ["(", "a)(b", r"(?=a)", r"(a)\1", "[", r"\p{L}"] {
            let why = holds(Operator::Matches, "a", pattern).unwrap_err();
            assert!(why.contains("it is no regular expression"), "{pattern}: {why}");
        }
    }

    #[test]
    fn a_pattern_is_bounded() {
        assert!(holds(Operator::Matches, "a", "((a{500}){500}){500}").is_err());
        assert!(holds(Operator::Matches, "a", &"(".repeat(5000)).is_err());
        let start = std::time::Instant::now();
        let long = "a".repeat(100 * 1024);
        assert_eq!(holds(Operator::Matches, &long, "(a*)*b"), Ok(false));
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn any_pattern_is_answered(pattern in any::<String>(), text in any::<String>()) {
            let _ = holds(Operator::Matches, &text, &pattern);
        }

        #[test]
        fn a_text_matches_itself_written_literally(text in any::<String>()) {
            prop_assert_eq!(holds(Operator::Matches, &text, &regex_lite::escape(&text)), Ok(true));
        }

        #[test]
        fn equal_or_not_equal(one in "[ab]{0,2}", other in "[ab]{0,2}") {
            prop_assert_ne!(holds(Operator::Eq, &one, &other), holds(Operator::Ne, &one, &other));
        }
    }
}
