use std::sync::Arc;

use driver::{ActionExecutor, Outcome, Task};
use pipeline::custom::Terms;
use testkit::Aws;

use crate::{failed, registry, task};

fn of(owner: &str, configuration: &[(&str, &str)]) -> Task {
    let mut task = task("Build", "Jenkins", configuration);
    task.action.type_id.owner = Some(owner.into());
    task.action.custom = Some(Arc::new(Terms { id: task.action.type_id.clone(), ..Terms::default() }));
    task
}

#[tokio::test]
async fn an_action_for_job_workers_waits_for_them_and_nobody_is_asked() {
    let aws = Aws::default();
    let client = [("ClientId", "client-1"), ("ClientToken", "token-1")];
    for task in [of("Custom", &[]), of("ThirdParty", &client)] {
        let started = registry(&aws).start(&task).await.unwrap();
        assert!(matches!(started, Outcome::Running { poll: false, .. }), "{started:?}");
    }
    assert!(aws.calls("AssumeRole").is_empty());
}

#[tokio::test]
async fn what_no_worker_could_ever_take_fails_at_once() {
    let aws = Aws::default();
    for (task, part) in [
        (of("ThirdParty", &[("ClientId", "client-1")]), "ClientToken"),
        (of("ThirdParty", &[("ClientToken", "token-1")]), "ClientId"),
    ] {
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(part) && !error.message.contains("token-1"), "{error:?}");
    }
}
