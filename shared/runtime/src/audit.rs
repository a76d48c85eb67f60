//! Calls on their way into the audit log.

use audit::{Record, What};
use aws_sdk_sqs::error::DisplayErrorContext;
use driver::Clock;
use store::ChangeOrigin;
use uuid::Uuid;

use crate::clients::Clients;
use crate::clock::SystemClock;
use crate::settings::{SettingError, Settings};

/// The target of the lines for calls that did not get into the queue, which no filter of `RUST_LOG` hides.
pub(crate) const TARGET: &str = "audit";

/// Tells the auditor of calls, by a queue.
#[derive(Clone, Debug)]
pub struct CallLog {
    clients: Clients,
    queue: String,
}

impl CallLog {
    /// Calls go into the queue of the settings.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        Ok(Self { clients: clients.clone(), queue: settings.audit_queue_url()? })
    }

    /// Notes a call before it is answered: who made it, from where, in which request ([`ChangeOrigin`] of the work that is being
    /// done), of what operation, and what comes of it: `ok`, or the exception's name.
    ///
    /// Whatever the call has changed cannot be undone any more, so the caller gets the answer though the queue may fail. Then
    /// the call is in the function's own log, and what it changed comes into the audit log by the table's stream all the same.
    pub async fn answered(&self, operation: &str, pipeline: Option<&str>, result: &str) {
        let origin = ChangeOrigin::current();
        let known = |text: &String| !text.is_empty();
        let record = Record {
            id: Uuid::new_v4().to_string(),
            time: audit::exact(SystemClock.now().0),
            what: What::Call { operation: operation.to_owned(), result: result.to_owned() },
            pipeline: pipeline.map(str::to_owned),
            execution: None,
            caller: origin.as_ref().map(|origin| origin.caller.clone()).filter(known),
            source: origin.as_ref().and_then(|origin| origin.source.clone()),
            request: origin.map(|origin| origin.request).filter(known),
        };
        let record = record.bounded();
        let body = serde_json::to_string(&record).unwrap_or_default();
        let message = self.clients.sqs().send_message().queue_url(&self.queue).message_body(&body);
        // Boxed: it is large, and a part of every operation's future.
        if let Err(error) = Box::pin(message.send()).await {
            let error = DisplayErrorContext(&error);
            tracing::error!(target: TARGET, record = body, %error, "a call is missing in the audit log");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use testkit::{Answer, Stub, TestLog};

    use super::*;

    fn calls(stub: &Stub) -> CallLog {
        CallLog { clients: Clients::from_config(stub.config()), queue: "https://queue".into() }
    }

    fn origin() -> ChangeOrigin {
        ChangeOrigin { caller: "arn".into(), source: Some("203.0.113.7".into()), request: "r1".into() }
    }

    #[tokio::test]
    async fn a_call_is_one_message_that_the_auditor_reads() {
        let stub = Stub::new(|_| Answer::ok(r#"{"MessageId": "m"}"#));
        let log = TestLog::begin();
        origin().scope(calls(&stub).answered("GetPipeline", Some("release"), "ok")).await;
        let [request] = &stub.requests()[..] else { panic!("one message") };
        let sent: Value = serde_json::from_str(&request.body).unwrap();
        let record: Record = serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap();
        assert_eq!(record.what, What::Call { operation: "GetPipeline".into(), result: "ok".into() });
        let members = [record.pipeline, record.caller, record.source, record.request];
        assert_eq!(members, ["release", "arn", "203.0.113.7", "r1"].map(|text| Some(text.to_owned())));
        assert!(log.of(TARGET).is_empty());
    }

    #[tokio::test]
    async fn what_the_queue_does_not_take_is_in_the_log() {
        let stub = Stub::new(|_| Answer { status: 500, body: "{}".into() });
        let log = TestLog::begin();
        origin().scope(calls(&stub).answered("StopPipelineExecution", Some("release"), "ok")).await;
        let [line] = &log.of(TARGET)[..] else { panic!("one line") };
        let record: Value = serde_json::from_str(line["record"].as_str().unwrap()).unwrap();
        assert_eq!([&record["operation"], &record["caller"]], [&json!("StopPipelineExecution"), &json!("arn")]);
    }
}
