//! Notification rules: who hears of what happens to a pipeline.
//!
//! A rule is a tag of its pipeline, so that CodePipeline's own API keeps it: the key is `millrace:notify:NAME`, the value a sentence
//! in the characters that tags may have. It is parsed when the tag is set; one that cannot be understood is refused there, so that
//! nobody has a rule that silently does nothing.
//!
//! ```text
//! rule    = when { " " when } [ " in " STAGE ] " to " target  |  "nothing"
//! when    = "breaks" | "fixed" | "waits" | "slow" | "every"
//! target  = ARN of an SNS topic  |  "slack/" NAME  |  "teams/" NAME
//! ```
//!
//! ```
//! use pipeline::notification::Rule;
//!
//! let rule: Rule = "breaks fixed in Prod to slack/shop".parse()?;
//! assert_eq!(rule.stage.as_ref().map(|stage| stage.as_str()), Some("Prod"));
//! # Ok::<(), pipeline::notification::InvalidRule>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::names::{StageName, consists_of};

/// What the key of a tag begins with that is a rule; the rule's name follows.
pub const TAG: &str = "millrace:notify:";
/// A rule of this name takes the place of the installation's own, which holds for all pipelines.
pub const DEFAULT: &str = "default";
/// The value of a tag that has a pipeline tell nothing, in place of the installation's rule.
const NOTHING: &str = "nothing";
/// Rules of one pipeline at most: each may be a message for each thing that happens.
pub const MOST: usize = 10;
/// What a key begins with, in any letters, that was meant to be a rule's.
const MEANT: &str = "millrace:notif";

/// Why a rule cannot be kept, in words for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRule(String);

/// What a rule tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// It fails, and did not fail the last time.
    Breaks,
    /// It succeeds, and failed the last time.
    Fixed,
    /// An approval waits for a person.
    Waits,
    /// An execution, or the stage in it, takes longer than usual.
    Slow,
    /// Each change of the execution's and its stages' states, and approvals that wait.
    Every,
}

impl When {
    const ALL: [Self; 5] = [Self::Breaks, Self::Fixed, Self::Waits, Self::Slow, Self::Every];

    /// The rule's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Breaks => "breaks",
            Self::Fixed => "fixed",
            Self::Waits => "waits",
            Self::Slow => "slow",
            Self::Every => "every",
        }
    }
}

/// Whose webhook a chat's address is: each takes a message in another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chat {
    /// Slack's incoming webhooks, and those of others that take the same.
    Slack,
    /// The webhooks of workflows in Microsoft Teams.
    Teams,
}

/// Where a rule's messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The ARN of an SNS topic.
    Topic(String),
    /// A webhook, by the name of the secret that holds its address.
    Chat(Chat, String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(arn) => f.write_str(arn),
            Self::Chat(Chat::Slack, name) => write!(f, "slack/{name}"),
            Self::Chat(Chat::Teams, name) => write!(f, "teams/{name}"),
        }
    }
}

/// A notification rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it tells of; never empty.
    pub whens: BTreeSet<When>,
    /// The stage of which it tells; none for the pipeline as a whole.
    pub stage: Option<StageName>,
    /// The one topic or chat that gets its lines.
    pub target: Target,
}

impl Rule {
    /// Whether it tells of this.
    pub fn tells(&self, when: When) -> bool {
        self.whens.contains(&when)
    }

    /// Whether it tells of what happens in this stage: it is about that stage or about the whole pipeline.
    pub fn is_about(&self, stage: &str) -> bool {
        self.stage.as_ref().is_none_or(|it| it.as_str() == stage)
    }
}

/// The same sentence again, its words in their own order.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.whens.iter().map(|when| when.word()).collect();
        f.write_str(&words.join(" "))?;
        if let Some(stage) = &self.stage {
            write!(f, " in {stage}")?;
        }
        write!(f, " to {}", self.target)
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(value: &str) -> Result<Self, InvalidRule> {
        let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
        let [said @ .., "to", to] = words.as_slice() else {
            return Err(invalid(format!(
                "must end with 'to' and one word more: the ARN of an SNS topic, slack/NAME or teams/NAME (at: {})",
                shown(value)
            )));
        };
        let (said, stage) = match said.iter().position(|word| *word == "in") {
            None => (said, None),
            Some(place) => match &said[place + 1..] {
                [name] => {
                    let stage = StageName::new(*name).map_err(|error| invalid(format!("names no stage: {error}")))?;
                    (&said[..place], Some(stage))
                }
                _ => return Err(invalid("must name one stage after 'in': another stage is another rule".to_owned())),
            },
        };
        let mut whens = BTreeSet::new();
        for (place, word) in said.iter().enumerate() {
            let Some(when) = When::ALL.into_iter().find(|when| when.word() == *word) else {
                return Err(invalid(format!(
                    "has as its word {} '{}': there are breaks, fixed, waits, slow and every",
                    place + 1,
                    shown(word)
                )));
            };
            if !whens.insert(when) {
                return Err(invalid(format!("says '{word}' twice")));
            }
        }
        let rule = Self { whens, stage, target: target(to)? };
        rule.check()?;
        Ok(rule)
    }
}

impl Rule {
    fn check(&self) -> Result<(), InvalidRule> {
        if self.whens.is_empty() {
            return Err(invalid("must say first what it tells of: breaks, fixed, waits, slow or every".to_owned()));
        }
        let told = self.whens.iter().find(|when| !matches!(when, When::Every | When::Slow));
        if let Some(told) = told.filter(|_| self.tells(When::Every)) {
            return Err(invalid(format!("says 'every' and '{}': that would be told twice", told.word())));
        }
        Ok(())
    }
}

fn target(word: &str) -> Result<Target, InvalidRule> {
    let chats = [("slack/", Chat::Slack), ("teams/", Chat::Teams)];
    if let Some((name, chat)) = chats.into_iter().find_map(|(start, chat)| Some((word.strip_prefix(start)?, chat))) {
        if consists_of(name, 1..=64, b"_.-") {
            return Ok(Target::Chat(chat, name.to_owned()));
        }
        return Err(invalid(format!(
            "goes to '{}': a chat's name has 1 to 64 letters, digits, dots, dashes and underscores",
            shown(word)
        )));
    }
    let ["arn", partition, "sns", region, account, name] = word.split(':').collect::<Vec<_>>()[..] else {
        return Err(invalid(format!(
            "goes to '{}', which is neither the ARN of an SNS topic (arn:aws:sns:REGION:ACCOUNT:NAME) nor slack/NAME or \
             teams/NAME",
            shown(word)
        )));
    };
    if name.ends_with(".fifo") {
        return Err(invalid("goes to a FIFO topic: mail and chats cannot subscribe to one".to_owned()));
    }
    let numbered = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let named = consists_of(name, 1..=256, b"_-");
    if !numbered || !named || !consists_of(partition, 1..=20, b"-") || !consists_of(region, 1..=32, b"-") {
        return Err(invalid(format!("goes to '{}', which is not the ARN of an SNS topic", shown(word))));
    }
    Ok(Target::Topic(word.to_owned()))
}

/// To which topics this installation's rules may send: whoever may tag a pipeline shall not thereby publish anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// What a topic's ARN must begin with: it names the installation's own region and account.
    pub start: String,
}

impl Topics {
    /// # Errors
    /// When the rule goes to another topic.
    pub fn check(&self, rule: &Rule) -> Result<(), InvalidRule> {
        match &rule.target {
            Target::Topic(arn) if !arn.starts_with(&self.start) => {
                Err(invalid(format!("goes to '{arn}': this installation sends only to topics {}*", self.start)))
            }
            _ => Ok(()),
        }
    }
}

/// A tag's rule; none where the tag says that nothing is to be told.
fn of_tag(value: &str) -> Result<Option<Rule>, InvalidRule> {
    if value == NOTHING { Ok(None) } else { value.parse().map(Some) }
}

/// Whether a pipeline may have this tag: any that was not meant to be a rule, and every rule that can be carried out. `topics` is
/// none where what is tagged is no pipeline.
///
/// # Errors
/// [`InvalidRule`] says what is wrong with the rule, and names the tag.
pub fn check_tag(key: &str, value: &str, topics: Option<&Topics>) -> Result<(), InvalidRule> {
    let start = key.get(..MEANT.len()).unwrap_or_default();
    if !start.eq_ignore_ascii_case(MEANT) {
        return Ok(());
    }
    let tag = |error: InvalidRule| InvalidRule(format!("The notification rule in the tag '{key}' {error}."));
    let Some(topics) = topics else {
        return Err(tag(invalid("can be kept by a pipeline only".to_owned())));
    };
    let named = key.strip_prefix(TAG).is_some_and(|name| consists_of(name, 1..=64, b"_.-"));
    if !named {
        let words = format!(
            "is not under a key of the form {TAG}NAME, with a name of 1 to 64 letters, digits, dots, dashes and underscores"
        );
        return Err(tag(invalid(words)));
    }
    let rule = of_tag(value).map_err(tag)?;
    rule.map_or(Ok(()), |rule| topics.check(&rule)).map_err(tag)
}

/// The rules of a pipeline by name, from its tags and the installation's own rule. A tag that a release without rules has stored,
/// and that is none, is passed over.
pub fn rules(tags: &BTreeMap<String, String>, own: Option<&Rule>) -> Vec<(String, Rule)> {
    let mut rules: BTreeMap<&str, Option<Rule>> = BTreeMap::new();
    if let Some(own) = own {
        rules.insert(DEFAULT, Some(own.clone()));
    }
    for (name, value) in named(tags) {
        if let Ok(rule) = of_tag(value) {
            rules.insert(name, rule);
        }
    }
    rules.into_iter().filter_map(|(name, rule)| Some((name.to_owned(), rule?))).collect()
}

/// Whether a pipeline has more rules among its tags than it may have.
pub fn are_too_many(tags: &BTreeMap<String, String>) -> bool {
    named(tags).count() > MOST
}

/// The names of the rules that are not what they were before.
pub fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let was = named(before).chain(named(after));
    let changed = was.filter(|(name, _)| {
        let key = format!("{TAG}{name}");
        before.get(&key) != after.get(&key)
    });
    changed.map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn named(tags: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().filter_map(|(key, value)| Some((key.strip_prefix(TAG)?, value.as_str())))
}

fn invalid(words: String) -> InvalidRule {
    InvalidRule(words)
}

/// As much of a text as an error quotes.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
