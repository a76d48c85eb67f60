//! Function `publisher`: publishes state changes to EventBridge.
//!
//! Invoked by the table's stream. Images of executions and stage attempts become CodePipeline's state-change events
//! (`notify`); all others are skipped. Records are handled in order; if one fails, the stream delivers that one and the
//! ones after it again, so nothing is lost and the order is kept.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod record;
mod state_changes;

use std::sync::Arc;

use aws_lambda_events::dynamodb::{Event, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use notify::Publisher;
use runtime::{Clients, SettingError, Settings};
use store::DynamoStore;

use crate::state_changes::{EventReader, Reads};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (reader, publisher) = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run(|batch: Event, _| async move { Ok(handle(reader, publisher, &batch).await) }).await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(EventReader, Publisher), SettingError> {
    let store = DynamoStore::new(clients.dynamodb().clone(), settings.table()?);
    let reader = EventReader::new(Arc::new(store), settings.region(), &settings.account()?);
    Ok((reader, Publisher::new(clients.eventbridge().clone(), settings.event_bus(), settings.bus()?)))
}

/// Publishes the events of a batch. Returns the record from which the stream must repeat the batch, if one failed.
async fn handle(reader: &EventReader, publisher: &Publisher, batch: &Event) -> DynamoDbEventResponse {
    let (mut events, mut origins) = (Vec::new(), Vec::new());
    let (mut failed, mut reads) = (None, Reads::default());
    for record in &batch.records {
        match reader.tell(record, &mut reads).await {
            Ok(told) => {
                origins.extend(told.iter().map(|_| record));
                events.extend(told);
            }
            Err(error) => {
                tracing::error!(%error, sequence = record.change.sequence_number, "a record could not be told");
                failed = Some(record);
                break;
            }
        }
    }
    if let Err(error) = publisher.publish(&events).await {
        tracing::error!(%error);
        failed = error.indices.iter().min().and_then(|index| origins.get(*index).copied()).or(failed);
    }
    failed_from(failed)
}

/// The stream goes on with this record, or behind the batch if there is none. Source: Lambda developer guide,
/// 'Reporting batch item failures'.
fn failed_from(record: Option<&EventRecord>) -> DynamoDbEventResponse {
    let mut response = DynamoDbEventResponse::default();
    if let Some(record) = record {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier.clone_from(&record.change.sequence_number);
        response.batch_item_failures.push(failure);
    }
    response
}

#[cfg(test)]
mod tests {
    use engine::{
        ActionStatus, Execution, ExecutionId, ExecutionStatus, ExternalId, RollbackTarget, StageRun, StageStatus,
        Trigger,
    };
    use serde_json::{Value, json};
    use store::{Entity, Expect, MemoryStore, Store, Write};
    use testkit::samples::{execution, stage_run};
    use testkit::{Answer, CountingStore, Stub, TableRequest};
    use uuid::Uuid;

    use super::*;
    use crate::state_changes::tests::{declaration, source_run};

    fn image(entity: &Entity) -> Value {
        let body = entity.to_json().unwrap();
        json!({"pk": {"S": "x"}, "sk": {"S": "y"}, "rev": {"N": "1"}, "kind": {"S": entity.kind()}, "body": {"S": body}})
    }

    fn record(sequence: &str, old: Option<&Entity>, new: Option<&Entity>) -> Value {
        let mut change = json!({"ApproximateCreationDateTime": 1_795_441_779, "Keys": {"pk": {"S": "x"}, "sk": {"S": "y"}},
            "SequenceNumber": sequence, "SizeBytes": 2048, "StreamViewType": "NEW_AND_OLD_IMAGES"});
        if let Some(old) = old {
            change["OldImage"] = image(old);
        }
        if let Some(new) = new {
            change["NewImage"] = image(new);
        }
        json!({"eventID": "1", "eventName": "MODIFY", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
            "awsRegion": "eu-west-1", "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/1",
            "dynamodb": change})
    }

    async fn reader(entities: impl IntoIterator<Item = Entity>) -> EventReader {
        let store = MemoryStore::default();
        for entity in entities {
            store.commit(vec![Write::Put { entity, expect: Expect::Absent }]).await.unwrap();
        }
        EventReader::new(Arc::new(store), "eu-west-1", "123456789012")
    }

    async fn run(reader: &EventReader, stub: &Stub, records: Vec<Value>) -> Value {
        let publisher = Publisher::new(aws_sdk_eventbridge::Client::new(&stub.config()), "default", "millrace");
        let batch: Event = serde_json::from_value(json!({"Records": records})).unwrap();
        serde_json::to_value(handle(reader, &publisher, &batch).await).unwrap()
    }

    fn accepting() -> Stub {
        Stub::new(|_| Answer::ok(r#"{"FailedEntryCount":0,"Entries":[]}"#))
    }

    fn details(stub: &Stub) -> Vec<Value> {
        let requests = stub.requests();
        let bodies = requests.iter().map(|request| serde_json::from_str::<Value>(&request.body).unwrap());
        bodies
            .flat_map(|body| body["Entries"].as_array().unwrap().clone())
            .map(|entry| serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap())
            .collect()
    }

    fn all() -> [Entity; 4] {
        [
            Entity::Declaration(declaration()),
            Entity::Execution(execution()),
            Entity::Stage(source_run()),
            Entity::Stage(stage_run()),
        ]
    }

    /// The deploy stage before and after its action succeeded.
    fn success() -> (StageRun, StageRun) {
        let mut running = StageRun { status: StageStatus::InProgress, ..stage_run() };
        running.actions[0].status = ActionStatus::Running;
        let mut succeeded = StageRun { status: StageStatus::Succeeded, ..stage_run() };
        succeeded.actions[0].status = ActionStatus::Succeeded;
        (running, succeeded)
    }

    #[tokio::test]
    async fn a_failure_is_told_with_its_reason() {
        let mut running = StageRun { status: StageStatus::InProgress, ..stage_run() };
        running.actions[0].status = ActionStatus::Running;
        let failed = Execution { status: ExecutionStatus::Failed, ..execution() };
        let stub = accepting();
        let records = vec![
            record("1", Some(&Entity::Stage(running)), Some(&Entity::Stage(stage_run()))),
            record("2", Some(&Entity::Execution(execution())), Some(&Entity::Execution(failed))),
        ];
        let answer = run(&reader(all()).await, &stub, records).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
        assert_eq!(stub.requests().len(), 1, "one request for the batch");
        let details = details(&stub);
        let states: Vec<&str> = details.iter().map(|detail| detail["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["FAILED", "FAILED", "FAILED"]);
        assert_eq!(details[0]["action"], "Publish");
        assert_eq!(details[0]["type"]["provider"], "S3");
        assert_eq!(details[0]["execution-result"]["external-execution-summary"], "no such bucket: site-bucket");
        assert_eq!(details[1]["stage"], "Deploy");
        assert_eq!(details[2]["pipeline"], "release");
    }

    #[tokio::test]
    async fn what_the_records_of_a_batch_share_is_read_once_and_anew_for_the_next_batch() {
        let store = Arc::new(CountingStore::default());
        for entity in all() {
            store.commit(vec![Write::Put { entity, expect: Expect::Absent }]).await.unwrap();
        }
        let reader = EventReader::new(store.clone(), "eu-west-1", "123456789012");
        let (running, succeeded) = success();
        let (before, after) = (Entity::Stage(running), Entity::Stage(succeeded));
        let records = || ["1", "2", "3"].map(|sequence| record(sequence, Some(&before), Some(&after))).to_vec();
        let stub = accepting();
        store.requests();
        run(&reader, &stub, records()).await;
        assert_eq!(details(&stub).len(), 6, "an action's and its stage's, three times");
        let [declaration, execution, source, _] = all().each_ref().map(|entity| TableRequest::Read(vec![entity.key()]));
        assert_eq!(store.requests(), [execution.clone(), declaration, source.clone()]);
        run(&reader, &stub, records()).await;
        assert_eq!(store.requests(), [execution, source], "a declaration never changes");
    }

    #[tokio::test]
    async fn a_rollback_is_told_with_the_artifacts_of_its_target() {
        let target = ExecutionId::from_random(Uuid::from_u128(8 << 100));
        let rollback = Some(RollbackTarget { execution: target, attempts: vec![1] });
        let back = Execution { attempts: vec![0, 1], rollback, ..execution() };
        let all = [
            Entity::Declaration(declaration()),
            Entity::Execution(back),
            Entity::Stage(StageRun { execution: target, ..source_run() }),
            Entity::Stage(stage_run()),
        ];
        let (running, succeeded) = success();
        let stub = accepting();
        let records = vec![record("1", Some(&Entity::Stage(running)), Some(&Entity::Stage(succeeded)))];
        assert_eq!(run(&reader(all).await, &stub, records).await, json!({"batchItemFailures": []}));
        assert_eq!(details(&stub)[0]["input-artifacts"][0]["s3location"]["key"], "release/App/x");
    }

    #[tokio::test]
    async fn the_end_of_an_execution_goes_to_the_own_bus_where_an_action_awaits_it() {
        let trigger = |kind: &str| Trigger { kind: kind.to_owned(), detail: "arn".to_owned() };
        let by_call = Execution { trigger: trigger("StartPipelineExecution"), ..execution() };
        let ended = |it: &Execution| Execution { status: ExecutionStatus::Succeeded, ..it.clone() };
        let awaiting = Entity::ExternalId(ExternalId {
            source: "millrace".to_owned(),
            region: "eu-west-1".to_owned(),
            id: by_call.id.to_string(),
            action: ExecutionId::from_random(Uuid::from_u128(9 << 100)).action(1, 1, 0),
            started: by_call.started,
        });
        let buses = async |of: &Execution, now: Execution, entities: &[Entity]| {
            let stub = accepting();
            let records = vec![record("1", Some(&Entity::Execution(of.clone())), Some(&Entity::Execution(now)))];
            run(&reader(entities.to_vec()).await, &stub, records).await;
            let bodies: Vec<Value> = stub.requests().iter().map(|it| serde_json::from_str(&it.body).unwrap()).collect();
            let entries = bodies.iter().flat_map(|body| body["Entries"].as_array().unwrap().clone());
            entries.map(|entry| entry["EventBusName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(buses(&by_call, ended(&by_call), std::slice::from_ref(&awaiting)).await, ["default", "millrace"]);
        assert_eq!(buses(&by_call, ended(&by_call), &[]).await, ["default"], "nobody waits");
        let stopping = Execution { status: ExecutionStatus::Stopping, ..by_call.clone() };
        assert_eq!(buses(&by_call, stopping, std::slice::from_ref(&awaiting)).await, ["default"], "it has not ended");
        let by_change = Execution { trigger: trigger("CloudWatchEvent"), ..by_call };
        assert_eq!(buses(&by_change, ended(&by_change), &[awaiting]).await, ["default"], "no action has started it");
    }

    #[tokio::test]
    async fn other_items_and_removals_are_passed_over() {
        let stub = accepting();
        let stage = Entity::Stage(stage_run());
        let records = vec![
            record("1", None, Some(&Entity::Declaration(declaration()))),
            record("2", Some(&stage), None),
            record("3", Some(&stage), Some(&stage)),
        ];
        assert_eq!(run(&reader([]).await, &stub, records).await, json!({"batchItemFailures": []}));
        assert_eq!(stub.requests().len(), 0);
    }

    #[tokio::test]
    async fn a_record_that_fails_comes_again_and_those_before_it_are_told() {
        let stub = accepting();
        let new = Entity::Execution(execution());
        let mut broken = record("2", None, Some(&new));
        broken["dynamodb"]["NewImage"]["body"]["S"] = "{".into();
        let records = vec![record("1", None, Some(&new)), broken, record("3", None, Some(&new))];
        let answer = run(&reader(all()).await, &stub, records).await;
        assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "2"}]}));
        assert_eq!(details(&stub).len(), 1);
    }

    #[tokio::test]
    async fn what_the_bus_refuses_comes_again() {
        let down = Stub::new(|_| Answer { status: 500, body: "{}".into() });
        let new = Entity::Execution(execution());
        let stage = Entity::Stage(stage_run());
        let records = vec![record("7", Some(&stage), Some(&stage)), record("8", None, Some(&new))];
        let answer = run(&reader(all()).await, &down, records).await;
        assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "8"}]}));
    }

    #[test]
    fn its_environment_is_what_it_reads_and_nothing_else() {
        let environment = testkit::Template::home().environment("PublisherFunction");
        let settings = Settings::read(environment.lookup()).unwrap();
        wire(&settings, &Clients::from_config(accepting().config())).unwrap();
        environment.assert_read();
    }
}
