//! Requests of the SDK's own clients, counted.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use testkit::{Answer, Stub};

use super::units::CountUnits;
use super::*;

const FIRST: &str = "12345678-1234-8234-abcd-000000000000";
const SECOND: &str = "12345678-1234-8234-abce-000000000000";

/// A service that charges 1.5 units for whatever it is asked.
fn charging() -> Stub {
    Stub::new(|request| {
        let one = r#"{"TableName": "t", "CapacityUnits": 1.5}"#;
        Answer::ok(match request.operation() {
            "TransactWriteItems" | "BatchGetItem" => format!(r#"{{"ConsumedCapacity": [{one}]}}"#),
            "PutEvents" => r#"{"FailedEntryCount": 0, "Entries": []}"#.to_owned(),
            _ if request.body.starts_with("Action=") => String::from(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>",
            ),
            _ => format!(r#"{{"ConsumedCapacity": {one}}}"#),
        })
    })
}

/// What clients are made from that count; the function's own key is the stub's.
fn counting(stub: &Stub, calls: &Calls) -> aws_config::SdkConfig {
    let config = stub.config();
    let client = calls.client(config.http_client().unwrap(), "FUNCTION");
    config.to_builder().http_client(client).build()
}

fn dynamodb(config: &aws_config::SdkConfig, calls: &Calls) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(CountUnits(calls.clone()));
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

fn of(counts: &[(&str, f64)]) -> BTreeMap<String, f64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn item(execution: &str) -> AttributeValue {
    AttributeValue::S(format!("E#{execution}"))
}

#[tokio::test]
async fn what_was_sent_is_what_is_counted() {
    let (stub, calls) = (charging(), Calls::default());
    let config = counting(&stub, &calls);
    let table = dynamodb(&config, &calls);
    calls.begin();
    table.get_item().table_name("t").key("pk", item(FIRST)).send().await.unwrap();
    for _ in 0..2 {
        table.update_item().table_name("t").key("pk", item(FIRST)).send().await.unwrap();
    }
    let update = Update::builder().table_name("t").key("pk", item(FIRST)).update_expression("SET a = b").build();
    let write = TransactWriteItem::builder().update(update.unwrap()).build();
    table.transact_write_items().transact_items(write).send().await.unwrap();
    aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
    // A pipeline's own key.
    let keys = aws_credential_types::Credentials::new("ASIAPIPELINE", "s", None, None, "test");
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(keys);
    let session = config.to_builder().credentials_provider(provider).build();
    let s3 = aws_sdk_s3::Client::new(&session);
    s3.put_object().bucket("b").key("k").send().await.unwrap();
    s3.copy_object().bucket("b").key("k").copy_source("b/l").send().await.ok();
    let [spent] = &calls.end("millrace-worker", 1_024, Duration::from_millis(250))[..] else { panic!("one line") };
    let expected = Spent {
        execution: FIRST.into(),
        function: "millrace-worker".into(),
        invocations: 1.0,
        milliseconds: 250.0,
        memory: 1_024,
        own: of(&[
            ("dynamodb GetItem", 1.0),
            ("dynamodb TransactWriteItems", 1.0),
            ("dynamodb UpdateItem", 2.0),
            ("sts GetCallerIdentity", 1.0),
        ]),
        pipeline: of(&[("s3 COPY", 1.0), ("s3 PUT", 1.0)]),
        reads: 1.5,
        writes: 4.5,
        events: 0.0,
    };
    assert_eq!(*spent, expected);
    let counted: f64 = spent.own.values().chain(spent.pipeline.values()).sum();
    assert_eq!(counted as usize, stub.requests().len(), "all that the service saw");
    assert_eq!(calls.end("f", 1, Duration::ZERO), [], "each is told once");
}

#[tokio::test]
async fn what_concerns_several_executions_is_shared_and_what_concerns_none_is_not_told() {
    let (stub, calls) = (charging(), Calls::default());
    let config = counting(&stub, &calls);
    let table = dynamodb(&config, &calls);
    calls.begin();
    for execution in [FIRST, SECOND] {
        table.get_item().table_name("t").key("pk", item(execution)).send().await.unwrap();
    }
    let events = aws_sdk_eventbridge::config::Builder::from(&config).interceptor(CountUnits(calls.clone()));
    let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder().source("s").build();
    let put = aws_sdk_eventbridge::Client::from_conf(events.build()).put_events();
    put.entries(entry.clone()).entries(entry).send().await.unwrap();
    let lines = calls.end("publisher", 256, Duration::from_millis(10));
    assert_eq!(lines.iter().map(|it| it.execution.as_str()).collect::<Vec<_>>(), [FIRST, SECOND]);
    for line in &lines {
        assert_eq!((line.invocations, line.milliseconds, line.reads, line.events), (0.5, 5.0, 1.5, 1.0));
        assert_eq!(line.own, of(&[("dynamodb GetItem", 1.0), ("events PutEvents", 0.5)]));
    }
    table.get_item().table_name("t").key("pk", AttributeValue::S("L#release".into())).send().await.unwrap();
    assert_eq!(calls.end("sweeper", 256, Duration::from_millis(10)), []);
}

#[test]
fn a_line_is_read_as_it_was_written() {
    let spent = Spent { execution: FIRST.into(), own: of(&[("dynamodb GetItem", 0.5)]), ..Spent::default() };
    let line = serde_json::json!({ MEMBER: spent }).to_string();
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(serde_json::from_value::<Spent>(read[MEMBER].clone()).unwrap(), spent);
}
