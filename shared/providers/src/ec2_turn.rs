//! How far an attempt at an EC2 deploy with target groups is: which batch it is at, which of its steps comes next, and what
//! failed. It is the action's continuation, so only one worker moves it on.

use std::collections::BTreeSet;

use engine::{ActionError, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ec2_command::FAILED_SHOWN;
use crate::error::{JOB_FAILED, ProviderError};

/// Characters of what a failed instance says that are kept until the action ends.
const WORDS: usize = 600;

/// How far an attempt is: its continuation, and the default for one that has none yet.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Turn {
    pub(crate) step: Step,
    pub(crate) batch: usize,
    /// How many instances failed in the batches before.
    pub(crate) failed_before: usize,
    /// Which of the batch failed.
    pub(crate) failed: BTreeSet<String>,
    /// What the first instances that failed say.
    pub(crate) words: Vec<String>,
    /// When the batch began to come back.
    pub(crate) since: Timestamp,
    /// Why the action fails as soon as the batch is back.
    pub(crate) failure: Option<ActionError>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) enum Step {
    #[default]
    TakeOut,
    Deploy,
    BringBack,
}

impl Turn {
    pub(crate) fn parse(token: &str) -> Result<Self, ProviderError> {
        let unknown =
            |error| ProviderError::failed(JOB_FAILED, format!("the action's continuation is unknown: {error}"));
        serde_json::from_str(token).map_err(unknown)
    }

    pub(crate) fn token(&self) -> Result<String, ProviderError> {
        serde_json::to_string(self).map_err(|error| ProviderError::failed(JOB_FAILED, error.to_string()))
    }

    /// An instance of the batch failed. Its words count the first time.
    pub(crate) fn fails(&mut self, instance: &str, words: &str) {
        if self.failed.insert(instance.to_owned()) && self.words.len() < FAILED_SHOWN {
            self.words.push(words.chars().take(WORDS).collect());
        }
    }

    pub(crate) fn brings_back(self, now: Timestamp) -> Self {
        Self { step: Step::BringBack, since: now, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2_command::MOST_NAMED;

    #[test]
    fn a_turn_is_small_however_many_instances_fail() {
        let mut turn = Turn::default();
        for n in 0..MOST_NAMED {
            turn.fails(&format!("i-{n:017x}"), &"long ".repeat(1_000));
        }
        assert_eq!((turn.failed.len(), turn.words.len()), (MOST_NAMED, FAILED_SHOWN));
        assert!(serde_json::to_string(&turn).unwrap().len() < 4_000);
        assert_eq!(serde_json::from_str::<Turn>("{}").unwrap(), Turn::default());
    }
}
