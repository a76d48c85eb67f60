//! Reads of one type: what is under a key is what the key says.

use audit::Tip;
use engine::{Execution, ExternalId, Head, Job, StageLocks, StageRun, StoredOutputs};

use crate::{
    ActionRevision, DeclarationPart, Delivery, Entity, Expect, Key, Listing, Notice, RuleOutcome, Source, SourcePoll,
    StartToken, Store, StoreError, StoredDeclaration, StoredType, StoredWebhook, Versioned, WebhookCalls, Write,
};

/// Items of a listing that are read at once.
const PAGE: usize = 100;

/// A type whose values are kept as entities.
pub trait Stored: Into<Entity> {
    /// The value, if the entity is of this type.
    fn from_entity(entity: Entity) -> Option<Self>;
}

macro_rules! stored {
    ($($kind:ident($stored:ty)),+ $(,)?) => {$(
        impl Stored for $stored {
            fn from_entity(entity: Entity) -> Option<Self> {
                if let Entity::$kind(it) = entity { Some(it) } else { None }
            }
        }

        impl From<$stored> for Entity {
            fn from(it: $stored) -> Self {
                Self::$kind(it)
            }
        }
    )+};
}

stored! {
    Head(Head),
    Declaration(StoredDeclaration),
    StageLocks(StageLocks),
    Token(StartToken),
    Execution(Execution),
    Stage(StageRun),
    Outputs(StoredOutputs),
    Source(Source),
    Part(DeclarationPart),
    Webhook(StoredWebhook),
    SourcePoll(SourcePoll),
    Revision(ActionRevision),
    ActionType(StoredType),
    Job(Job),
    ExternalId(ExternalId),
    AuditTip(Tip),
    WebhookCalls(WebhookCalls),
    Delivery(Delivery),
    RuleOutcome(RuleOutcome),
    Notice(Notice),
}

impl Versioned {
    /// As what its key says that it is.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is something else.
    pub fn typed<T: Stored>(self) -> Result<Versioned<T>, StoreError> {
        let (kind, key) = (self.entity.kind(), self.entity.key());
        let corrupt = || StoreError::Corrupt { key: format!("{key:?}"), cause: format!("it is a {kind}") };
        let entity = T::from_entity(self.entity).ok_or_else(corrupt)?;
        Ok(Versioned { revision: self.revision, entity })
    }
}

impl dyn Store + '_ {
    /// Reads what is under a key.
    ///
    /// # Errors
    /// As [`Store::load`]; [`StoreError::Corrupt`] when it is of another type.
    pub async fn get<T: Stored>(&self, key: Key) -> Result<Option<Versioned<T>>, StoreError> {
        self.load(&[key]).await?.pop().flatten().map(Versioned::typed).transpose()
    }

    /// Reads all that is in a listing, a page after another.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub async fn all<T: Stored>(&self, listing: &Listing) -> Result<Vec<T>, StoreError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.list(listing, after.as_deref(), PAGE).await?;
            found.extend(page.entities.into_iter().filter_map(T::from_entity));
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}

impl Write {
    /// A write of an entity of any kind, on this condition.
    pub fn put(entity: impl Into<Entity>, expect: Expect) -> Self {
        Self::Put { entity: entity.into(), expect }
    }
}
