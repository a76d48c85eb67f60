//! Action types that CodePipeline itself does not offer: the account's own, and those of third parties.

use std::collections::BTreeMap;

use engine::ActionError;
use pipeline::custom::{Definition, Executor, MOST_TYPES, Types};
use pipeline::{Declaration, TypeId, catalogue};
use store::{Entity, Expect, Key, Listing, StoredType, Write};

use crate::backoff::UNCONTENDED;
use crate::commit::Driver;
use crate::error::DriveError;
use crate::ports::Task;

/// Types of an owner that are read at once.
const PAGE: usize = 100;

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
        let mut attempt = 0;
        loop {
            let (stored, expect) = match self.load_one(Key::ActionType(definition.id.clone())).await? {
                Some(store::Versioned { entity: Entity::ActionType(known), revision }) => {
                    if known.definition != definition {
                        let state = if known.deleted.is_some() { "was deleted" } else { "exists" };
                        return Err(DriveError::ActionType(format!(
                            "{} {state} with a different definition: use a version that was never used before",
                            named(&definition.id)
                        )));
                    }
                    if known.deleted.is_none() {
                        return Ok(known);
                    }
                    (StoredType { tags: tags.clone(), deleted: None, ..known }, Expect::Revision(revision))
                }
                _ => {
                    let (definition, tags) = (definition.clone(), tags.clone());
                    (StoredType { definition, tags, created: self.clock.now(), deleted: None }, Expect::Absent)
                }
            };
            if self.action_types("Custom").await?.len() >= MOST_TYPES {
                return Err(DriveError::ActionTypeLimit(MOST_TYPES));
            }
            match self.store.commit(vec![Write::Put { entity: Entity::ActionType(stored.clone()), expect }]).await {
                Ok(()) => return Ok(stored),
                Err(error) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
            }
        }
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
        let mut attempt = 0;
        loop {
            let (created, expect) = match self.load_one(Key::ActionType(definition.id.clone())).await? {
                Some(store::Versioned { entity: Entity::ActionType(known), revision }) => {
                    (known.created, Expect::Revision(revision))
                }
                _ => (self.clock.now(), Expect::Absent),
            };
            let stored = StoredType { definition: definition.clone(), tags: BTreeMap::new(), created, deleted: None };
            match self.store.commit(vec![Write::Put { entity: Entity::ActionType(stored), expect }]).await {
                Ok(()) => return Ok(()),
                Err(error) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
            }
        }
    }

    /// An action type that is not deleted.
    ///
    /// # Errors
    /// [`DriveError::ActionTypeNotFound`].
    pub async fn action_type(&self, id: &TypeId) -> Result<StoredType, DriveError> {
        match self.load_one(Key::ActionType(id.clone())).await?.map(|found| found.entity) {
            Some(Entity::ActionType(stored)) if stored.deleted.is_none() => Ok(stored),
            _ => Err(not_found(id)),
        }
    }

    /// The action types of an owner that are not deleted, by category, provider and version.
    ///
    /// # Errors
    /// The store's.
    pub async fn action_types(&self, owner: &str) -> Result<Vec<StoredType>, DriveError> {
        let listing = Listing::ActionTypes(owner.to_owned());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&listing, after.as_deref(), PAGE).await?;
            found.extend(page.entities.into_iter().filter_map(|entity| match entity {
                Entity::ActionType(stored) if stored.deleted.is_none() => Some(stored),
                _ => None,
            }));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
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
        let mut attempt = 0;
        loop {
            let (mut stored, revision) = match self.load_one(Key::ActionType(id.clone())).await? {
                Some(store::Versioned { entity: Entity::ActionType(stored), revision }) if stored.deleted.is_none() => {
                    (stored, revision)
                }
                _ => return Err(not_found(id)),
            };
            if !change(&mut stored) {
                return Ok(false);
            }
            let write = Write::Put { entity: Entity::ActionType(stored), expect: Expect::Revision(revision) };
            match self.store.commit(vec![write]).await {
                Ok(()) => return Ok(true),
                Err(error) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
            }
        }
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
        let message = match self.load_one(key).await?.map(|found| found.entity) {
            Some(Entity::ActionType(stored)) if stored.deleted.is_none() => return Ok(None),
            Some(_) => format!("{} was deleted.", named(id)),
            None => format!("{} does not exist.", named(id)),
        };
        Ok(Some(ActionError { code: "ConfigurationError".into(), message }))
    }

    /// Milliseconds within which a job of this type must be heard of.
    pub(crate) async fn job_timeout(&self, id: &TypeId) -> Result<Option<i64>, DriveError> {
        match self.load_one(Key::ActionType(id.clone())).await?.map(|found| found.entity) {
            Some(Entity::ActionType(StoredType {
                definition: Definition { executor: Some(Executor { job_timeout: Some(seconds), .. }), .. },
                ..
            })) => Ok(Some(i64::from(seconds) * 1_000)),
            _ => Ok(None),
        }
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
    let short = |text: &str| text.chars().take(100).collect::<String>();
    format!(
        "ActionType (Category: '{}', Owner: '{}', Provider: '{}', Version: '{}')",
        short(&id.category),
        short(id.owner.as_deref().unwrap_or_default()),
        short(&id.provider),
        short(id.version.as_deref().unwrap_or_default())
    )
}
