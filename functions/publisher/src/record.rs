//! Records of the table's stream. Source: DynamoDB streams API, `Record`; Lambda developer guide, 'Process DynamoDB
//! records', 'Reporting batch item failures'.

use serde::{Deserialize, Serialize};
use store::Entity;

/// A batch of records, as Lambda delivers it.
#[derive(Debug, Deserialize)]
pub struct Batch {
    /// In the order in which the items changed.
    #[serde(default, rename = "Records")]
    pub records: Vec<Record>,
}

/// One change of one item.
#[derive(Debug, Deserialize)]
pub struct Record {
    dynamodb: Change,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    sequence_number: String,
    old_image: Option<Image>,
    new_image: Option<Image>,
}

/// The attributes that matter here.
#[derive(Debug, Deserialize)]
struct Image {
    kind: Option<Text>,
    body: Option<Text>,
}

#[derive(Debug, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    value: String,
}

impl Record {
    /// The sequence number in the stream.
    pub fn sequence(&self) -> &str {
        &self.dynamodb.sequence_number
    }

    /// The entity before and after, if the change is a write of an execution or a stage attempt.
    ///
    /// # Errors
    /// When an image cannot be read as what it says it is.
    pub fn entities(&self) -> anyhow::Result<Option<(Option<Entity>, Entity)>> {
        let Some(new) = self.dynamodb.new_image.as_ref().filter(|image| image.matters()) else {
            return Ok(None);
        };
        let old = self.dynamodb.old_image.as_ref().filter(|image| image.matters());
        Ok(Some((old.map(Image::entity).transpose()?, new.entity()?)))
    }
}

impl Image {
    fn matters(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| ["EXECUTION", "STAGE"].contains(&kind.value.as_str()))
    }

    fn entity(&self) -> anyhow::Result<Entity> {
        let text = |text: &Option<Text>| text.as_ref().map(|it| it.value.clone()).unwrap_or_default();
        Ok(Entity::from_json(&text(&self.kind), &text(&self.body))?)
    }
}

/// The function's response to Lambda.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl Answer {
    /// The stream goes on with this record, or behind the batch if there is none.
    pub fn failed_from(record: Option<&Record>) -> Self {
        let failure = |record: &Record| Failure { item_identifier: record.sequence().to_owned() };
        Self { batch_item_failures: record.map(failure).into_iter().collect() }
    }
}
