//! Rule/VariableCheck: compares a variable's value. Source: CodePipeline user guide, 'VariableCheck'.
//!
//! Patterns are regular expressions without look-around and back-references, which are the only ones that end in a
//! bounded time; `\d`, `\w` and `\s` mean ASCII, as in Java. Like Java's `matches`, a pattern must fit all of the value.

use async_trait::async_trait;
use driver::{Outcome, Task};
use engine::{Progress, Success};
use regex_lite::RegexBuilder;

use crate::configuration::{required, title};
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};
use crate::provider::Provider;

/// Most bytes of a compiled pattern: with the longest configuration it bounds the time that matching takes, to seconds.
const PATTERN_BYTES: usize = 32 * 1024;

/// Characters of a value that a message shows.
const SHOWN: usize = 200;

pub(crate) struct VariableCheck;

#[async_trait]
impl Provider for VariableCheck {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        check(context.task)
    }
}

fn check(task: &Task) -> Result<Outcome, ProviderError> {
    let operator = required(task, "Operator")?;
    // A variable can be empty, and something can be expected to be.
    let text = |key: &str| {
        let value = task.configuration.get(key).map(String::as_str);
        value.ok_or_else(|| ProviderError::configuration(format!("{} needs a value for {key}", title(task))))
    };
    let (variable, value) = (text("Variable")?, text("Value")?);
    let comparison = format!("{:?} {operator} {:?}", shown(variable), shown(value));
    if !holds(operator, variable, value).map_err(ProviderError::configuration)? {
        return Err(ProviderError::failed(JOB_FAILED, format!("{comparison} does not hold")));
    }
    let report = Progress { summary: Some(format!("{comparison} holds")), ..Progress::default() };
    Ok(Outcome::Succeeded(Success { report, ..Success::default() }))
}

/// Whether the comparison holds; what is wrong with it when it cannot be made.
fn holds(operator: &str, variable: &str, value: &str) -> Result<bool, String> {
    match operator {
        "EQ" => Ok(variable == value),
        "NE" => Ok(variable != value),
        "CONTAINS" => Ok(variable.contains(value)),
        "MATCHES" => {
            let compile = |pattern: &str| {
                let compiled = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
                compiled.map_err(|why| format!("the Value {:?} is no regular expression: {why}", shown(value)))
            };
            // By itself first: what is no pattern must not become one inside the other.
            compile(value)?;
            Ok(compile(&format!(r"\A(?:{value})\z"))?.is_match(variable))
        }
        other => Err(format!("Operator is {:?}, and can be EQ, NE, CONTAINS or MATCHES", shown(other))),
    }
}

fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn operators_compare() {
        for (variable, operator, value, expected) in [
            ("main", "EQ", "main", true),
            ("main", "EQ", "Main", false),
            ("", "EQ", "", true),
            ("main", "NE", "main", false),
            ("dev", "NE", "main", true),
            ("an update of it", "CONTAINS", "update", true),
            ("an Update of it", "CONTAINS", "update", false),
            ("release/7", "MATCHES", r"release/\d+", true),
            ("release/7", "MATCHES", "release", false),
            ("release/7", "MATCHES", ".*", true),
            ("ab", "MATCHES", "a|ab", true),
            ("a\nb", "MATCHES", "a.b", false),
            ("a\nb", "MATCHES", "(?s)a.b", true),
            ("Main", "MATCHES", "(?i)main", true),
            ("٣", "MATCHES", r"\d", false),
            ("", "MATCHES", "", true),
        ] {
            assert_eq!(holds(operator, variable, value), Ok(expected), "{variable} {operator} {value}");
        }
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        assert!(holds("GT", "1", "0").unwrap_err().contains("EQ, NE, CONTAINS or MATCHES"));
        assert!(holds("eq", "1", "1").is_err());
        for pattern in ["(", "a)(b", r"(?=a)", r"(a)\1", "[", r"\p{L}"] {
            let why = holds("MATCHES", "a", pattern).unwrap_err();
            assert!(why.contains("is no regular expression"), "{pattern}: {why}");
        }
    }

    #[test]
    fn a_pattern_is_bounded() {
        assert!(holds("MATCHES", "a", "((a{500}){500}){500}").is_err());
        assert!(holds("MATCHES", "a", &"(".repeat(5000)).is_err());
        let start = std::time::Instant::now();
        let long = "a".repeat(100 * 1024);
        assert_eq!(holds("MATCHES", &long, "(a*)*b"), Ok(false));
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        assert_eq!(shown(&"é".repeat(SHOWN)), "é".repeat(SHOWN));
        assert_eq!(shown(&"é".repeat(SHOWN + 1)).chars().count(), SHOWN + 1);
    }

    proptest! {
        #[test]
        fn any_pattern_is_answered(pattern in any::<String>(), text in any::<String>()) {
            let _ = holds("MATCHES", &text, &pattern);
        }

        #[test]
        fn a_text_matches_itself_written_literally(text in any::<String>()) {
            prop_assert_eq!(holds("MATCHES", &text, &regex_lite::escape(&text)), Ok(true));
        }

        #[test]
        fn equal_or_not_equal(one in "[ab]{0,2}", other in "[ab]{0,2}") {
            prop_assert_ne!(holds("EQ", &one, &other), holds("NE", &one, &other));
        }
    }
}
