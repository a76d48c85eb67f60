//! Declarations that are too large for one item, in parts.
//!
//! A declaration may have 500 actions, each with 50 settings of 1,000 characters: more than an item, and more than a
//! transaction. Its text is cut into parts, written one by one under a name of their own before the version that names
//! them. Until then nobody knows them: a writer that dies in between, or loses the race for a version, leaves parts that
//! nobody reads.

use pipeline::{Declaration, PipelineName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Entity, Key, Store, StoreError, StoredDeclaration, Versioned};

/// Most bytes of a declaration's text in one item. Inside another JSON text quotes are escaped, so that it grows to twice
/// as much at most.
const PART: usize = 190_000;

/// The parts of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The random id that all parts of one declaration have in their keys.
    pub set: Uuid,
    /// How many parts there are; at least two.
    pub count: u16,
}

/// A part of a declaration; never changed once written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeclarationPart {
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// To which parts it belongs.
    pub set: Uuid,
    /// Its place among them, from 0.
    pub index: u16,
    /// This much of the declaration's JSON text.
    pub text: String,
}

impl StoredDeclaration {
    /// What is to be stored: the parts, to be written before, and the version itself; no parts where it fits into one
    /// item. `set` names the parts and must be new.
    ///
    /// # Errors
    /// None that is known: all maps have string keys.
    pub fn cut(self, set: Uuid) -> Result<(Vec<DeclarationPart>, Self), StoreError> {
        let whole = serde_json::to_string(&self.declaration).map_err(|error| StoreError::Refused(error.to_string()))?;
        if whole.len() <= PART {
            return Ok((Vec::new(), self));
        }
        let mut parts = Vec::new();
        let mut rest = whole.as_str();
        while !rest.is_empty() {
            let (text, after) = rest.split_at(rest.floor_char_boundary(PART));
            let index = parts.len() as u16;
            parts.push(DeclarationPart { pipeline: self.pipeline.clone(), set, index, text: text.to_owned() });
            rest = after;
        }
        let parts_of = Some(Parts { set, count: parts.len() as u16 });
        let Declaration { name, role_arn, .. } = self.declaration.clone();
        let stub = Declaration { name, role_arn, ..Declaration::default() };
        Ok((parts, Self { declaration: stub, parts: parts_of, ..self }))
    }
}

/// Reads a version of a declaration, whether or not it is stored in parts, with its secrets opened as far as this store may.
///
/// # Errors
/// The store's; [`StoreError::Corrupt`] when a part is missing.
pub async fn load_declaration(store: &dyn Store, key: Key) -> Result<Option<StoredDeclaration>, StoreError> {
    let Some(Versioned { entity: mut stored, .. }) = store.get::<StoredDeclaration>(key.clone()).await? else {
        return Ok(None);
    };
    let Some(Parts { set, count }) = stored.parts.take() else {
        return stored.opened(store.secrets()).await.map(Some);
    };
    let corrupt = |cause: String| StoreError::Corrupt { key: format!("{key:?}"), cause };
    let keys: Vec<Key> = (0..count).map(|index| Key::Part(stored.pipeline.clone(), set, index)).collect();
    let mut whole = String::new();
    for (index, part) in store.load(&keys).await?.into_iter().enumerate() {
        match part {
            Some(Versioned { entity: Entity::Part(part), .. }) => whole.push_str(&part.text),
            _ => return Err(corrupt(format!("part {index} of {count} is missing"))),
        }
    }
    stored.declaration = serde_json::from_str(&whole).map_err(|error| corrupt(error.to_string()))?;
    stored.opened(store.secrets()).await.map(Some)
}

#[cfg(test)]
mod tests {
    use engine::Incarnation;

    use super::*;

    fn stored(description: &str, variables: usize) -> StoredDeclaration {
        let variable = |n| serde_json::json!({"name": format!("v{n}"), "description": description});
        let variables: Vec<_> = (0..variables).map(variable).collect();
        StoredDeclaration {
            pipeline: PipelineName::new("release").unwrap(),
            incarnation: Incarnation(Uuid::from_u128(1)),
            version: 1,
            created: engine::Timestamp(0),
            declaration: serde_json::from_value(serde_json::json!({"name": "release", "variables": variables}))
                .unwrap(),
            types: Vec::new(),
            parts: None,
        }
    }

    #[test]
    fn a_small_declaration_stays_whole() {
        let small = stored("x", 1);
        assert_eq!(small.clone().cut(Uuid::nil()).unwrap(), (Vec::new(), small));
    }

    #[test]
    fn the_parts_are_the_text_and_none_is_larger_than_an_item() {
        // Each character has three bytes, so that a part ends within one; quotes are escaped twice.
        let large = stored(&"\"漢".repeat(50_000), 3);
        let (parts, stub) = large.clone().cut(Uuid::from_u128(7)).unwrap();
        let text: String = parts.iter().map(|part| part.text.as_str()).collect();
        assert_eq!(serde_json::from_str::<Declaration>(&text).unwrap(), large.declaration);
        assert_eq!(stub.parts, Some(Parts { set: Uuid::from_u128(7), count: parts.len() as u16 }));
        assert!(stub.declaration.variables.is_none() && parts.len() > 3);
        for (index, part) in parts.into_iter().enumerate() {
            assert_eq!(usize::from(part.index), index);
            assert!(Entity::Part(part).to_json().unwrap().len() < 400_000);
        }
    }
}
