//! Action types that CodePipeline itself does not offer: the account's own, and those of third parties.

use std::collections::BTreeMap;

use engine::ActionError;
use pipeline::custom::{Definition, MOST_TYPES, Types};
use pipeline::{Declaration, TypeId, catalogue};
use store::{Entity, Expect, Key, Listing, StoredType, Write};

use crate::commit::Change;
use crate::driver::Driver;
use crate::error::{DriveError, short};
use crate::ports::Task;

impl Driver {
    /// Stores a custom action type. The same once more changes nothing, and brings back one that was deleted.
    ///
    /// # Errors
    /// [`DriveError::ActionType`] for a definition that breaks rules, or differs from the one that has its id, or had
    /// it before it was deleted; [`DriveError::ActionTypeLimit`].
    pub async fn create_action_type(
        &self,
        definition: Definition,
        tags: BTreeMap<String, String>,
    ) -> Result<StoredType, DriveError> {
        definition.check().map_err(|error| DriveError::ActionType(error.to_string()))?;
        self.transact(|| {
            Box::pin(async {
                let (stored, expect) =
                    match self.store.get::<StoredType>(Key::ActionType(definition.id.clone())).await? {
                        Some(found) if found.entity.definition != definition => {
                            let state = if found.entity.deleted.is_some() { "was deleted" } else { "exists" };
                            return Err(DriveError::ActionType(format!(
                                "{} {state} with a different definition: use a version that was never used before",
                                named(&definition.id)
                            )));
                        }
                        Some(found) if found.entity.deleted.is_none() => {
                            return Ok(Change::of(Vec::new(), found.entity));
                        }
                        Some(found) => {
                            let expect = found.unchanged();
                            (StoredType { tags: tags.clone(), deleted: None, ..found.entity }, expect)
                        }
                        None => {
                            let (definition, tags) = (definition.clone(), tags.clone());
                            (StoredType { definition, tags, created: self.clock.now(), deleted: None }, Expect::Absent)
                        }
                    };
                if self.action_types("Custom").await?.len() >= MOST_TYPES {
                    return Err(DriveError::ActionTypeLimit(MOST_TYPES));
                }
                Ok(Change::of(vec![Write::put(stored.clone(), expect)], stored))
            })
        })
        .await
    }

    /// Marks a custom action type as deleted: nobody gets its jobs any more, and no pipeline may use it.
    ///
    /// # Errors
    /// [`DriveError::ActionTypeNotFound`].
    pub async fn delete_action_type(&self, id: &TypeId) -> Result<(), DriveError> {
        let now = self.clock.now();
        self.change_action_type(id, |stored| {
            stored.deleted = Some(now);
            stored.tags.clear();
            true
        })
        .await
        .map(|_| ())
    }

    /// Stores the definition of a third party's action type, in place of the one that it had.
    ///
    /// # Errors
    /// [`DriveError::ActionType`] for a definition that breaks rules.
    pub async fn put_action_type(&self, definition: Definition) -> Result<(), DriveError> {
        definition.check().map_err(|error| DriveError::ActionType(error.to_string()))?;
        self.transact(|| {
            Box::pin(async {
                let known = self.store.get::<StoredType>(Key::ActionType(definition.id.clone())).await?;
                let (created, expect) = match &known {
                    Some(known) => (known.entity.created, known.unchanged()),
                    None => (self.clock.now(), Expect::Absent),
                };
                let stored =
                    StoredType { definition: definition.clone(), tags: BTreeMap::new(), created, deleted: None };
                Ok(Change::of(vec![Write::put(stored, expect)], ()))
            })
        })
        .await
    }

    /// An action type that is not deleted.
    ///
    /// # Errors
    /// [`DriveError::ActionTypeNotFound`].
    pub async fn action_type(&self, id: &TypeId) -> Result<StoredType, DriveError> {
        let found = self.store.get::<StoredType>(Key::ActionType(id.clone())).await?.map(|found| found.entity);
        found.filter(|stored| stored.deleted.is_none()).ok_or_else(|| not_found(id))
    }

    /// The action types of an owner that are not deleted, by category, provider and version.
    ///
    /// # Errors
    /// The store's.
    pub async fn action_types(&self, owner: &str) -> Result<Vec<StoredType>, DriveError> {
        let mut types = self.store.all::<StoredType>(&Listing::ActionTypes(owner.to_owned())).await?;
        types.retain(|stored| stored.deleted.is_none());
        Ok(types)
    }

    /// Changes the tags of an action type. Answers whether it did: the change says whether what it made is to be
    /// stored.
    ///
    /// # Errors
    /// [`DriveError::ActionTypeNotFound`].
    pub async fn change_type_tags(
        &self,
        id: &TypeId,
        change: impl Fn(&mut BTreeMap<String, String>) -> bool + Send + Sync,
    ) -> Result<bool, DriveError> {
        self.change_action_type(id, |stored| change(&mut stored.tags)).await
    }

    async fn change_action_type(
        &self,
        id: &TypeId,
        change: impl Fn(&mut StoredType) -> bool + Send + Sync,
    ) -> Result<bool, DriveError> {
        self.transact(|| {
            Box::pin(async {
                let found = self.store.get::<StoredType>(Key::ActionType(id.clone())).await?;
                let found = found.filter(|found| found.entity.deleted.is_none()).ok_or_else(|| not_found(id))?;
                Ok(Change::to(found, &change))
            })
        })
        .await
    }

    /// The action types that a declaration uses and the account has.
    pub(crate) async fn types_of(&self, declaration: &Declaration) -> Result<Types, DriveError> {
        let actions = declaration.stages.iter().flat_map(|stage| &stage.actions);
        let mut keys: Vec<Key> = actions.filter_map(|action| type_key(&action.action_type_id)).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(Types::default());
        }
        let found = self.store.load(&keys).await?.into_iter().flatten();
        let terms = found.filter_map(|found| match found.entity {
            Entity::ActionType(stored) if stored.deleted.is_none() => Some(stored.definition.terms()),
            _ => None,
        });
        Ok(terms.collect())
    }

    /// Why an action cannot be started because of its type.
    pub(crate) async fn unavailable(&self, task: &Task) -> Result<Option<ActionError>, DriveError> {
        let id = &task.action.type_id;
        let Some(key) = type_key(id) else {
            return Ok(None);
        };
        let message = match self.store.get::<StoredType>(key).await? {
            Some(found) if found.entity.deleted.is_none() => return Ok(None),
            Some(_) => format!("{} was deleted.", named(id)),
            None => format!("{} does not exist.", named(id)),
        };
        Ok(Some(ActionError { code: "ConfigurationError".into(), message }))
    }

    /// Milliseconds within which a job of this type must be heard of.
    pub(crate) async fn job_timeout(&self, id: &TypeId) -> Result<Option<i64>, DriveError> {
        let stored = self.store.get::<StoredType>(Key::ActionType(id.clone())).await?.map(|found| found.entity);
        let seconds = stored.and_then(|stored| stored.definition.executor?.job_timeout);
        Ok(seconds.map(|seconds| i64::from(seconds) * 1_000))
    }
}

/// Where the definition of a type is kept; none for CodePipeline's own types.
fn type_key(id: &TypeId) -> Option<Key> {
    let theirs = matches!(id.owner.as_deref(), Some("Custom" | "ThirdParty"));
    (theirs && catalogue::find(id).is_none()).then(|| Key::ActionType(id.clone()))
}

fn not_found(id: &TypeId) -> DriveError {
    DriveError::ActionTypeNotFound(named(id))
}

/// How messages call a type.
fn named(id: &TypeId) -> String {
    format!(
        "ActionType (Category: '{}', Owner: '{}', Provider: '{}', Version: '{}')",
        short(&id.category),
        short(id.owner.as_deref().unwrap_or_default()),
        short(&id.provider),
        short(id.version.as_deref().unwrap_or_default())
    )
}
