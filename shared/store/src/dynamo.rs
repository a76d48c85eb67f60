//! The table.
//!
//! A commit of one put is one `UpdateItem`; any other is one `TransactWriteItems`. Both can be sent twice by the SDK
//! when an answer is lost, and a condition that held the first time does not hold the second: a transaction carries a
//! client request token, so that DynamoDB knows it again, and a put leaves its id in the attribute `write`, so that a
//! failed condition can be told from one's own success. (If a third writer came in between, the commit is reported
//! as a conflict although it was made; the caller reads again and finds it made.)

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, KeysAndAttributes, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use engine::Timestamp;
use futures::future::try_join_all;
use uuid::Uuid;

use crate::item::{Item, due_partition, items};
use crate::{
    ChangeOrigin, Due, Entity, Expect, Key, Listing, NoSecrets, Page, Secrets, Store, StoreError, Versioned, Write,
    cursor,
};

/// Most keys of a `BatchGetItem`. Source: DynamoDB API, `BatchGetItem`.
const MOST_KEYS: usize = 100;
/// How often unread keys are asked for again without one of them being read.
const MOST_EMPTY_READS: u32 = 7;

type Attributes = HashMap<String, AttributeValue>;
type Pair = (String, String);

/// The table, as `infra/home.yaml` makes it.
#[derive(Clone, Debug)]
pub struct DynamoStore {
    client: Client,
    table: String,
    secrets: Arc<dyn Secrets>,
}

impl DynamoStore {
    /// The table of this name, in the client's account and region.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), secrets: Arc::new(NoSecrets) }
    }

    /// The same for a function that may read and store secrets.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<dyn Secrets>) -> Self {
        Self { secrets, ..self }
    }

    async fn read(&self, pair: &Pair) -> Result<Option<Attributes>, StoreError> {
        let read = self.client.get_item().table_name(&self.table).set_key(Some(key(pair))).consistent_read(true);
        Ok(read.send().await.map_err(failed)?.item)
    }

    /// Reads at most [`MOST_KEYS`] different keys.
    async fn read_batch(&self, pairs: &[Pair]) -> Result<Vec<Attributes>, StoreError> {
        let mut found = Vec::with_capacity(pairs.len());
        let mut missing: Vec<Attributes> = pairs.iter().map(key).collect();
        let mut empty_reads = 0;
        loop {
            let asked = missing.len();
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(missing))
                .consistent_read(true)
                .build()
                .map_err(|error| StoreError::Refused(error.to_string()))?;
            let mut read =
                self.client.batch_get_item().request_items(&self.table, wanted).send().await.map_err(failed)?;
            found.extend(read.responses.as_mut().and_then(|tables| tables.remove(&self.table)).unwrap_or_default());
            missing = read
                .unprocessed_keys
                .as_mut()
                .and_then(|tables| tables.remove(&self.table))
                .map_or_else(Vec::new, |unread| unread.keys);
            if missing.is_empty() {
                return Ok(found);
            }
            // Some were left out because the answer was full, all because the table is too busy.
            empty_reads = if missing.len() < asked { 0 } else { empty_reads + 1 };
            if empty_reads > MOST_EMPTY_READS {
                return Err(StoreError::Unavailable(format!(
                    "{} keys were left unread again and again",
                    missing.len()
                )));
            }
            if empty_reads > 0 {
                tokio::time::sleep(Duration::from_millis(25 << empty_reads)).await;
            }
        }
    }

    /// One put in one write request.
    async fn put(&self, item: &Item, expect: Expect) -> Result<(), StoreError> {
        let change = Change::new(item, expect);
        let pair = (item.pk.clone(), item.sk.clone());
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&pair)))
            .update_expression(change.update)
            .set_condition_expression(change.condition)
            .set_expression_attribute_names(Some(change.names))
            .set_expression_attribute_values(Some(change.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        let conflict = || Err(StoreError::Conflict(format!("{}/{}", pair.0, pair.1)));
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                // DynamoDB Local does not tell what it found.
                let found = match refusal.item() {
                    Some(item) => Some(item.clone()),
                    None => self.read(&pair).await?,
                };
                let ours = found.as_ref().and_then(|found| text(found, "write")) == Some(&change.id);
                if ours { Ok(()) } else { conflict() }
            }
            Some(
                UpdateItemError::TransactionConflictException(_) | UpdateItemError::ReplicatedWriteConflictException(_),
            ) => conflict(),
            _ => Err(failed(error)),
        }
    }

    async fn transact(&self, writes: &[Write], items: &[Option<Item>]) -> Result<(), StoreError> {
        let requests: Vec<_> = writes
            .iter()
            .zip(items)
            .map(|(write, item)| self.request(write, item.as_ref()))
            .collect::<Result<_, _>>()?;
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(requests))
            .client_request_token(Uuid::new_v4().to_string())
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() {
            let reasons = canceled.cancellation_reasons();
            let lost: Vec<String> = writes
                .iter()
                .zip(reasons)
                .filter(|(_, reason)| matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict")))
                .map(|(write, _)| write.key().pair())
                .map(|(pk, sk)| format!("{pk}/{sk}"))
                .collect();
            if !lost.is_empty() {
                return Err(StoreError::Conflict(lost.join(", ")));
            }
            let words = reasons.iter().filter(|reason| reason.code() != Some("None")).map(|reason| {
                format!("{}: {}", reason.code().unwrap_or_default(), reason.message().unwrap_or_default())
            });
            let words = format!("the transaction was cancelled: {}", words.collect::<Vec<_>>().join(", "));
            let lasting = |code| matches!(code, Some("ValidationError" | "ItemCollectionSizeLimitExceeded"));
            return Err(if reasons.iter().any(|reason| lasting(reason.code())) {
                StoreError::Refused(words)
            } else {
                StoreError::Unavailable(words)
            });
        }
        Err(failed(error))
    }

    /// A write as a part of a transaction.
    fn request(&self, write: &Write, item: Option<&Item>) -> Result<TransactWriteItem, StoreError> {
        let incomplete = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Refused(error.to_string());
        let request = TransactWriteItem::builder();
        Ok(match (write, item) {
            (Write::Put { expect, .. }, Some(item)) => {
                let change = Change::new(item, *expect);
                let update = Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(key(&(item.pk.clone(), item.sk.clone()))))
                    .update_expression(change.update)
                    .set_condition_expression(change.condition)
                    .set_expression_attribute_names(Some(change.names))
                    .set_expression_attribute_values(Some(change.values));
                request.update(update.build().map_err(incomplete)?).build()
            }
            (write, _) => {
                let (Write::Put { expect, .. } | Write::Delete { expect, .. }) = write;
                let mut values = HashMap::new();
                let condition = condition(*expect, &mut values);
                let mut delete = Delete::builder().table_name(&self.table).set_key(Some(key(&write.key().pair())));
                if let Some((expression, name)) = condition {
                    delete = delete
                        .condition_expression(expression)
                        .expression_attribute_names(format!("#{name}"), name)
                        .set_expression_attribute_values((!values.is_empty()).then_some(values));
                }
                request.delete(delete.build().map_err(incomplete)?).build()
            }
        })
    }

    /// Everything that a query finds, up to `most` items, over as many pages as that takes.
    async fn query(
        &self,
        query: QueryFluentBuilder,
        mut start: Option<Attributes>,
        most: usize,
    ) -> Result<Vec<Attributes>, StoreError> {
        let mut found = Vec::new();
        while found.len() < most {
            let limit = i32::try_from(most - found.len()).unwrap_or(i32::MAX);
            let page = query.clone().limit(limit).set_exclusive_start_key(start).send().await.map_err(failed)?;
            found.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Store for DynamoStore {
    fn secrets(&self) -> &dyn Secrets {
        &*self.secrets
    }

    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let pairs: Vec<Pair> = keys.iter().map(Key::pair).collect();
        let mut distinct: Vec<Pair> = pairs.iter().collect::<HashSet<_>>().into_iter().cloned().collect();
        let read = if let [pair] = distinct.as_slice() {
            self.read(pair).await?.into_iter().collect()
        } else {
            distinct.sort();
            try_join_all(distinct.chunks(MOST_KEYS).map(|chunk| self.read_batch(chunk))).await?.concat()
        };
        let mut found = HashMap::new();
        for item in &read {
            found.insert(
                (text(item, "pk").cloned().unwrap_or_default(), text(item, "sk").cloned().unwrap_or_default()),
                item,
            );
        }
        pairs.iter().map(|pair| found.get(pair).map(|item| versioned(item)).transpose()).collect()
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let items = items(&writes)?;
        match (writes.as_slice(), items.as_slice()) {
            ([], _) => Ok(()),
            ([Write::Put { expect, .. }], [Some(item)]) => self.put(item, *expect).await,
            _ => self.transact(&writes, &items).await,
        }
    }

    async fn list(&self, listing: &Listing, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let (by_index, partition, prefix) = listing.range();
        let (pk, sk) = if by_index { ("listing_pk", "listing_sk") } else { ("pk", "sk") };
        let start = match after {
            None => None,
            Some(after) => {
                let position = cursor::decode(listing, after)?;
                let mut start = key(&position.key.pair());
                start.insert(pk.into(), AttributeValue::S(partition.clone()));
                start.insert(sk.into(), AttributeValue::S(position.sort));
                Some(start)
            }
        };
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .expression_attribute_names("#pk", pk)
            .expression_attribute_values(":pk", AttributeValue::S(partition));
        query = if prefix.is_empty() {
            query.key_condition_expression("#pk = :pk")
        } else {
            query
                .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
                .expression_attribute_names("#sk", sk)
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.into()))
        };
        // An index has no consistent reads.
        query = if by_index { query.index_name("listing") } else { query.consistent_read(true) };
        if limit == 0 {
            return Ok(Page::default());
        }
        // One more than asked for tells whether there is a next page.
        let mut found = self.query(query, start, limit.saturating_add(1)).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let entities = found.iter().map(|item| Ok(versioned(item)?.entity)).collect::<Result<Vec<_>, StoreError>>()?;
        let next = match (found.last(), entities.last()) {
            (Some(item), Some(entity)) if more => {
                Some(cursor::encode(text(item, sk).map_or("", String::as_str), &entity.key()))
            }
            _ => None,
        };
        Ok(Page { entities, next })
    }

    async fn due(&self, shard: u64, from: Timestamp, to: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("due")
            .key_condition_expression("#pk = :pk AND #at BETWEEN :from AND :to")
            .expression_attribute_names("#pk", "due_pk")
            .expression_attribute_names("#at", "due_at")
            .expression_attribute_values(":pk", AttributeValue::S(due_partition(shard)))
            .expression_attribute_values(":from", AttributeValue::N(from.0.to_string()))
            .expression_attribute_values(":to", AttributeValue::N(to.0.to_string()));
        let mut due = Vec::new();
        for item in self.query(query, None, limit).await? {
            let (pk, sk) = (text(&item, "pk").map_or("", |pk| pk), text(&item, "sk").map_or("", |sk| sk));
            match (number(&item, "due_at"), Key::due_from(pk, sk)) {
                (Some(at), Some(key)) => due.push(Due { at: Timestamp(at), key }),
                // One item that nobody can read must not hide all others from the sweeper.
                _ => tracing::error!(pk, sk, "an item is due whose key is none of ours"),
            }
        }
        due.sort();
        Ok(due)
    }
}

/// A put as an update expression: it counts the revision where it is kept.
struct Change {
    /// A random id of this write, by which a repeated request recognizes that it took effect.
    id: String,
    update: String,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: Attributes,
}

impl Change {
    fn new(item: &Item, expect: Expect) -> Self {
        let id = Uuid::new_v4().to_string();
        let (listing_pk, listing_sk) = item.listing.clone().unzip();
        let (due_pk, due_at) = item.due.clone().unzip();
        let number = |number: i64| AttributeValue::N(number.to_string());
        let attributes = [
            ("kind", Some(AttributeValue::S(item.kind.into()))),
            ("body", Some(AttributeValue::S(item.body.clone()))),
            ("write", Some(AttributeValue::S(id.clone()))),
            ("changed_by", ChangeOrigin::current().map(changed_by)),
            ("listing_pk", listing_pk.map(AttributeValue::S)),
            ("listing_sk", listing_sk.map(AttributeValue::S)),
            ("due_pk", due_pk.map(AttributeValue::S)),
            ("due_at", due_at.map(number)),
            ("expires", item.expires.map(number)),
        ];
        let mut values = HashMap::from([(":zero".into(), number(0)), (":one".into(), number(1))]);
        let mut names = HashMap::from([("#rev".into(), "rev".into())]);
        let mut set = vec!["#rev = if_not_exists(#rev, :zero) + :one".to_owned()];
        let mut remove = Vec::new();
        for (name, value) in attributes {
            names.insert(format!("#{name}"), name.to_owned());
            match value {
                Some(value) => {
                    set.push(format!("#{name} = :{name}"));
                    values.insert(format!(":{name}"), value);
                }
                None => remove.push(format!("#{name}")),
            }
        }
        let mut update = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            update = format!("{update} REMOVE {}", remove.join(", "));
        }
        let condition = condition(expect, &mut values).map(|(expression, name)| {
            names.insert(format!("#{name}"), name.to_owned());
            expression.to_owned()
        });
        Self { id, update, condition, names, values }
    }
}

fn changed_by(origin: ChangeOrigin) -> AttributeValue {
    let ChangeOrigin { caller, source, request } = origin;
    let members = [("caller", caller), ("source", source.unwrap_or_default()), ("request", request)];
    // The DynamoDB Local that LocalStack runs on takes no empty text.
    let members = members.into_iter().filter(|(_, value)| !value.is_empty());
    AttributeValue::M(members.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).collect())
}

/// The condition as an expression, and the attribute that it names. Its values are added to `values`.
fn condition(expect: Expect, values: &mut Attributes) -> Option<(&'static str, &'static str)> {
    match expect {
        Expect::Absent => Some(("attribute_not_exists(#pk)", "pk")),
        Expect::Revision(revision) => {
            values.insert(":expected".into(), AttributeValue::N(revision.to_string()));
            Some(("#rev = :expected", "rev"))
        }
        Expect::Any => None,
    }
}

fn key(pair: &Pair) -> Attributes {
    let (pk, sk) = pair.clone();
    HashMap::from([("pk".into(), AttributeValue::S(pk)), ("sk".into(), AttributeValue::S(sk))])
}

fn text<'a>(item: &'a Attributes, name: &str) -> Option<&'a String> {
    item.get(name)?.as_s().ok()
}

fn number<T: std::str::FromStr>(item: &Attributes, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn versioned(item: &Attributes) -> Result<Versioned, StoreError> {
    let name = |name| text(item, name).map_or("?", String::as_str);
    let corrupt = |cause: String| StoreError::Corrupt { key: format!("{}/{}", name("pk"), name("sk")), cause };
    let revision = number(item, "rev").ok_or_else(|| corrupt("it has no revision".into()))?;
    // The parser's own words may quote the content, and the content may be secret.
    let entity = Entity::from_json(name("kind"), name("body")).map_err(|error| {
        corrupt(format!(
            "not a {}: {:?} error in line {}, column {}",
            name("kind"),
            error.classify(),
            error.line(),
            error.column()
        ))
    })?;
    Ok(Versioned { revision, entity })
}

/// What the provider said, or why it could not be asked.
fn failed<E, R>(error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if let Some(service) = error.as_service_error().filter(|service| service.code().is_some()) {
        let code = service.code().unwrap_or_default();
        let words = format!("{code}: {}", service.message().unwrap_or_default());
        return if code == "ValidationException" { StoreError::Refused(words) } else { StoreError::Unavailable(words) };
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    StoreError::Unavailable(words)
}
