//! How near a pipeline is to what a pipeline may have.

use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use pipeline::limits::{ACTIONS_IN_PIPELINE, CONCURRENT_EXECUTIONS};
use pipeline::{ExecutionMode, Pipeline};
use runtime::PipelinePath;

use super::Place;
use super::finding::Findings;

/// Executions that are looked through, the newest first: what still runs is seldom among older ones.
const NEWEST: usize = 1_000;
/// From this share of a limit on, it is near.
const NEAR: f64 = 0.8;

/// Looks at how much of its limits a pipeline uses; one that is not in the installation yet uses nothing.
pub(super) async fn look(place: &Place<'_>, pipeline: &Pipeline, findings: &mut Findings) {
    let name = pipeline.name().as_str();
    let actions: usize = pipeline.stages().iter().map(|stage| stage.actions.len()).sum();
    let mend = "a change with more is refused: let a second pipeline go on, by an Invoke/CodePipeline action";
    near(&format!("the pipeline {name} has"), "actions", actions, ACTIONS_IN_PIPELINE, mend, findings);
    // In SUPERSEDED mode executions overtake each other, and a start is never refused.
    if pipeline.mode() != ExecutionMode::Superseded {
        executions(place, name, findings).await;
    }
}

async fn executions(place: &Place<'_>, name: &str, findings: &mut Findings) {
    let Ok(api) = place.installation.output("ApiUrl") else { return };
    let config =
        aws_sdk_codepipeline::config::Builder::from(&place.account.sdk(place.account.home())).endpoint_url(api);
    let client = Client::from_conf(config.build());
    let what = format!("how many executions of {name} run");
    let (mut running, mut seen, mut token) = (0, 0, None);
    loop {
        let path = PipelinePath::new(api, name, "ListPipelineExecutions");
        let list = client.list_pipeline_executions().pipeline_name(name).set_next_token(token);
        let page = findings.look(&what, "execute-api:Invoke", "*", list.customize().interceptor(path).send().await);
        let Some(page) = page.found() else { return };
        let executions = page.pipeline_execution_summaries();
        running += executions.iter().filter(|it| is_open(it.status())).count();
        seen += executions.len();
        token = page.next_token;
        if token.is_none() || seen >= NEWEST {
            break;
        }
    }
    let mend = format!(
        "a start is refused at {CONCURRENT_EXECUTIONS}: answer what waits, or aws codepipeline stop-pipeline-execution \
         --pipeline-name {name} --pipeline-execution-id ID"
    );
    near(&format!("of the pipeline {name} run"), "executions", running, CONCURRENT_EXECUTIONS, &mend, findings);
}

fn is_open(status: Option<&PipelineExecutionStatus>) -> bool {
    matches!(status, Some(PipelineExecutionStatus::InProgress | PipelineExecutionStatus::Stopping))
}

/// Says how many there are of something, and warns where it is near what there may be.
fn near(begin: &str, of: &str, count: usize, most: usize, mend: &str, findings: &mut Findings) {
    let what = format!("{begin} {count} {of}, and {most} are the most");
    if count as f64 >= most as f64 * NEAR { findings.warning(what, mend) } else { findings.ok(what) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_limit_is_near_from_four_fifths_on() {
        let mut findings = Findings::new(false);
        for count in [39, 40, 50] {
            near("there are", "things", count, 50, "remove some", &mut findings);
        }
        let levels: Vec<_> = findings.all().iter().map(|it| it.level).collect();
        assert_eq!(levels, [Level::Ok, Level::Warning, Level::Warning]);
        assert_eq!(findings.all()[1].what, "there are 40 things, and 50 are the most");
    }
}
