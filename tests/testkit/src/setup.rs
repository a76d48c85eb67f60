//! A driver to test with, and a pipeline for it.

use std::sync::Arc;

use driver::{Driver, PipelineRecord, Setup, SourceRules};
use engine::{Policy, Trigger};
use pipeline::Declaration;
use store::Store;

use crate::{Outbox, TestClock};

/// What sets up a driver in eu-west-1, with the engine's own periods. Its sources watch nothing, and take every revision.
pub fn setup(store: &Arc<impl Store + 'static>, outbox: &Arc<Outbox>, clock: &Arc<TestClock>) -> Setup {
    Setup {
        store: store.clone(),
        dispatch: outbox.clone(),
        clock: clock.clone(),
        policy: Policy::default(),
        home: "eu-west-1".into(),
        sources: SourceRules { watched: |_, _| None, polled: |_, _| None, takes_revision: |_, _| Ok(()) },
    }
}

/// Creates a pipeline, which starts its first execution.
pub async fn create(driver: &Driver, declaration: Declaration) -> PipelineRecord {
    let trigger = Trigger { kind: "CreatePipeline".into(), detail: String::new() };
    driver.create_pipeline(declaration, [].into(), trigger).await.unwrap()
}
