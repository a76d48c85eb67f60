//! Action types that CodePipeline itself does not offer: the account's own (owner `Custom`) and those of providers
//! (owner `ThirdParty`), with the rules for their definitions. Source: CodePipeline API, `CreateCustomActionType`,
//! `UpdateActionType`; user guide, 'Create and add a custom action'.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::declaration::TypeId;

/// Most custom action types of an account in a region. Source: CodePipeline user guide, 'Quotas'.
pub const MOST_TYPES: usize = 50;

/// The key of a third-party action's configuration that names the provider's client, and of the secret that goes with
/// it: whoever asks for the action's job must know that.
pub const CLIENT_ID: &str = "ClientId";
/// The key of the secret that goes with [`CLIENT_ID`]; its value is never shown.
pub const CLIENT_TOKEN: &str = "ClientToken";

/// The definition of an action type, as its author gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Category, owner (`Custom` or `ThirdParty`), provider, version.
    pub id: TypeId,
    /// What the author says the type is for; nothing depends on it.
    #[serde(default)]
    pub description: Option<String>,
    /// Templates of the pages that people are led to.
    #[serde(default)]
    pub urls: Urls,
    /// The keys of its configuration; none: it was defined without a list.
    #[serde(default)]
    pub properties: Option<Vec<DefinedProperty>>,
    /// How many artifacts an action of this type reads.
    pub inputs: Counts,
    /// How many artifacts it makes.
    pub outputs: Counts,
    /// Who does its jobs; none for custom types, whose jobs are always polled for.
    #[serde(default)]
    pub executor: Option<Executor>,
    /// Accounts that may use the type; none: no restriction was given.
    #[serde(default)]
    pub allowed_accounts: Option<Vec<String>>,
}

/// Links of an action type. Templates may hold `{Config:name}` for the value of a property, `{ExternalExecutionId}`
/// and `{Revision}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Urls {
    /// Where a person signs up with the provider, or configures the action there.
    #[serde(default)]
    pub configuration: Option<String>,
    /// The page of what the action works on.
    #[serde(default)]
    pub entity: Option<String>,
    /// The page of one execution.
    #[serde(default)]
    pub execution: Option<String>,
    /// The page of one revision.
    #[serde(default)]
    pub revision: Option<String>,
}

/// A configuration key of an action type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedProperty {
    /// The key's name in the action's configuration.
    pub name: String,
    /// Whether an action without it is refused.
    pub required: bool,
    /// Whether it identifies what the action works on.
    pub key: bool,
    /// Whether its value is shown to job workers only.
    pub secret: bool,
    /// Whether job workers poll by its value.
    #[serde(default)]
    pub queryable: bool,
    /// What the author says about the key; nothing depends on it.
    #[serde(default)]
    pub description: Option<String>,
    /// `String`, `Number` or `Boolean`; none: not said.
    #[serde(default)]
    pub kind: Option<String>,
}

/// How many artifacts an action may read, or make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The fewest artifacts, from 0.
    pub least: u8,
    /// The most artifacts, not fewer than `least`.
    pub most: u8,
}

/// Who does the jobs of a third-party action type. Source: CodePipeline API, `ActionTypeExecutor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executor {
    /// Whether workers poll for the jobs, or a function is called with them.
    pub kind: ExecutorKind,
    /// The permissions that actions need, as a policy's text.
    #[serde(default)]
    pub policy: Option<String>,
    /// Seconds after which a job that was taken and not reported goes to another worker.
    #[serde(default)]
    pub job_timeout: Option<u32>,
}

/// A model of doing jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecutorKind {
    /// Workers poll for its jobs.
    JobWorker {
        /// The accounts from which they do; none: not said.
        #[serde(default)]
        accounts: Option<Vec<String>>,
        /// The service principals as which they do; none: not said.
        #[serde(default)]
        principals: Option<Vec<String>>,
    },
    /// A function is given each job.
    Lambda {
        /// The ARN of the Lambda function.
        function: String,
    },
}

/// What is wrong with a definition; the message says where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDefinition(String);

impl Definition {
    /// Checks the rules that go beyond the shapes of the API.
    ///
    /// # Errors
    /// [`InvalidDefinition`] with the first rule that it breaks.
    pub fn check(&self) -> Result<(), InvalidDefinition> {
        let invalid = |message: String| Err(InvalidDefinition(message));
        for (name, counts) in [("inputArtifactDetails", self.inputs), ("outputArtifactDetails", self.outputs)] {
            if counts.least > counts.most {
                return invalid(format!(
                    "{name}: the minimumCount {} is larger than the maximumCount {}",
                    counts.least, counts.most
                ));
            }
        }
        let mut names = BTreeSet::new();
        let mut queryable = None;
        for property in self.properties.iter().flatten() {
            let name = shown(&property.name);
            if !names.insert(&property.name) {
                return invalid(format!("more than one property has the name {name}"));
            }
            if property.queryable {
                if let Some(other) = queryable.replace(&property.name) {
                    return invalid(format!(
                        "only one property may be queryable, not both {} and {name}",
                        shown(other)
                    ));
                }
                if !property.required || property.secret {
                    return invalid(format!(
                        "Invalid queryable property '{name}'. Queryable configuration properties must be required and \
                         non-secret."
                    ));
                }
            }
        }
        let urls = [
            ("configuration", &self.urls.configuration),
            ("entity", &self.urls.entity),
            ("execution", &self.urls.execution),
            ("revision", &self.urls.revision),
        ];
        for (name, url) in urls {
            if let Some(url) = url {
                self.check_url(name, url)?;
            }
        }
        Ok(())
    }

    fn check_url(&self, kind: &str, url: &str) -> Result<(), InvalidDefinition> {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(InvalidDefinition(format!("the {kind} URL must begin with https:// or http://")));
        }
        for name in placeholders(url).filter_map(|placeholder| placeholder.strip_prefix("Config:")) {
            let property = self.properties.iter().flatten().find(|property| property.name == name);
            if !property.is_some_and(|property| property.required && !property.secret) {
                let name = shown(name);
                return Err(InvalidDefinition(format!(
                    "the {kind} URL names {{Config:{name}}}, and {name} is not a property that is required and not secret"
                )));
            }
        }
        Ok(())
    }

    /// What a pipeline keeps of it.
    pub fn terms(&self) -> Terms {
        let property = |property: &DefinedProperty| Term {
            name: property.name.clone(),
            required: property.required,
            secret: property.secret,
            queryable: property.queryable,
        };
        Terms {
            id: self.id.clone(),
            properties: self.properties.iter().flatten().map(property).collect(),
            inputs: self.inputs,
            outputs: self.outputs,
            function: match &self.executor {
                Some(Executor { kind: ExecutorKind::Lambda { function }, .. }) => Some(function.clone()),
                _ => None,
            },
            entity_url: self.urls.entity.clone(),
            execution_url: self.urls.execution.clone(),
        }
    }
}

/// What stands between braces in a template, for example `Config:name`.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(inside, _)| inside))
}

/// A template with the placeholders filled that `value` knows; none where it knows one of them not. Values are
/// percent-encoded.
pub fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut parts = template.split('{');
    let mut url = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((inside, rest)) => {
                encode(&value(inside)?, &mut url);
                url.push_str(rest);
            }
            None => {
                url.push('{');
                url.push_str(part);
            }
        }
    }
    Some(url)
}

/// What stands for `Config:name`; none for a value with variables, which is not known yet.
fn value(configuration: &BTreeMap<String, String>, placeholder: &str) -> Option<String> {
    let value = configuration.get(placeholder.strip_prefix("Config:")?)?;
    crate::variables::references(value).is_empty().then(|| value.clone())
}

/// Everything but RFC 3986's unreserved characters as percent and two digits; `/` stays, since projects have folders.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// What a version of a pipeline keeps of an action type that it uses: definitions of custom types never change, those
/// of third parties may, and a version means what it meant when it was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The type's category, owner, provider and version.
    pub id: TypeId,
    /// The keys of its configuration.
    pub properties: Vec<Term>,
    /// How many artifacts an action of the type reads.
    pub inputs: Counts,
    /// How many artifacts it makes.
    pub outputs: Counts,
    /// The ARN of the function that does its jobs; none: job workers poll for them.
    #[serde(default)]
    pub function: Option<String>,
    /// The template of the page of what an action works on.
    #[serde(default)]
    pub entity_url: Option<String>,
    /// The template of the page of one execution.
    #[serde(default)]
    pub execution_url: Option<String>,
}

/// A configuration key, as far as a pipeline must know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The key's name in the action's configuration.
    pub name: String,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it is shown to job workers only.
    pub secret: bool,
    /// Whether job workers poll by its value.
    pub queryable: bool,
}

impl Terms {
    /// Whether the value of a key is secret. The token of a third party's client always is.
    pub fn is_secret(&self, key: &str) -> bool {
        (self.is_third_party() && key == CLIENT_TOKEN)
            || self.properties.iter().any(|term| term.secret && term.name == key)
    }

    /// The page of what an action with this configuration works on, if its type has one.
    pub fn entity_page(&self, configuration: &BTreeMap<String, String>) -> Option<String> {
        fill(self.entity_url.as_ref()?, |name| value(configuration, name))
    }

    /// The page of an execution of such an action, by its provider's own id.
    pub fn execution_page(&self, configuration: &BTreeMap<String, String>, external: &str) -> Option<String> {
        fill(self.execution_url.as_ref()?, |name| match name {
            "ExternalExecutionId" => Some(external.to_owned()),
            name => value(configuration, name),
        })
    }

    fn is_third_party(&self) -> bool {
        self.id.owner.as_deref() == Some("ThirdParty")
    }

    /// The key by whose value job workers poll. Third parties' have no way to say one.
    /// Source: CodePipeline API, `PollForThirdPartyJobs`.
    pub fn queryable(&self) -> Option<&str> {
        if self.is_third_party() {
            return None;
        }
        self.properties.iter().find(|term| term.queryable).map(|term| term.name.as_str())
    }
}

/// The action types of an account that a declaration uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Types(BTreeMap<TypeId, Arc<Terms>>);

impl Types {
    /// The type of this id, if the account has it.
    pub fn find(&self, id: &TypeId) -> Option<&Arc<Terms>> {
        self.0.get(id)
    }

    /// The types in the order of their ids.
    pub fn all(&self) -> impl Iterator<Item = &Terms> {
        self.0.values().map(Arc::as_ref)
    }

    /// These, and those of the others that are not among them.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        for (id, terms) in &others.0 {
            self.0.entry(id.clone()).or_insert_with(|| terms.clone());
        }
        self
    }
}

impl FromIterator<Terms> for Types {
    fn from_iter<I: IntoIterator<Item = Terms>>(terms: I) -> Self {
        Self(terms.into_iter().map(|terms| (terms.id.clone(), Arc::new(terms))).collect())
    }
}

#[cfg(test)]
mod tests;
