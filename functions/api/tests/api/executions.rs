use conformance::world::World;
use std::collections::HashSet;

use aws_sdk_codepipeline::types::{
    ActionExecutionFilter, LatestInPipelineExecutionFilter, PipelineExecutionFilter, StartTimeRange,
    SucceededInStageFilter,
};

use super::{cbor_client, client, in_both, refused, release};

async fn started(world: &World, count: usize) -> Vec<String> {
    let client = client(world);
    client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
    let first = client.list_pipeline_executions().pipeline_name("release").send().await.unwrap();
    let mut ids = vec![first.pipeline_execution_summaries()[0].pipeline_execution_id().unwrap().to_owned()];
    while ids.len() < count {
        world.work().await;
        let started = client.start_pipeline_execution().name("release").send().await.unwrap();
        ids.push(started.pipeline_execution_id().unwrap().to_owned());
    }
    world.work().await;
    ids.reverse();
    ids
}

#[tokio::test]
async fn executions_are_listed_newest_first_by_pages() {
    let world = World::new();
    let ids = started(&world, 250).await;
    for client in [client(&world), cbor_client(&world)] {
        let (mut found, mut token, mut sizes) = (Vec::new(), None, Vec::new());
        loop {
            let page =
                client.list_pipeline_executions().pipeline_name("release").set_next_token(token).send().await.unwrap();
            sizes.push(page.pipeline_execution_summaries().len());
            found.extend(
                page.pipeline_execution_summaries().iter().map(|it| it.pipeline_execution_id().unwrap().to_owned()),
            );
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(sizes, [100, 100, 50]);
        assert_eq!(found, ids);
    }
}

#[tokio::test]
async fn action_executions_are_listed_newest_first_by_pages_while_others_start() {
    let world = World::new();
    started(&world, 25).await;
    let client = client(&world);
    // The first execution waits for approval in stage 2; those after it are superseded in front of it, save the last.
    let (mut seen, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = client
            .list_action_executions()
            .pipeline_name("release")
            .max_results(4)
            .set_next_token(token)
            .send()
            .await
            .unwrap();
        pages += 1;
        seen.extend(page.action_execution_details().to_vec());
        if pages == 2 {
            client.start_pipeline_execution().name("release").send().await.unwrap();
            world.work().await;
        }
        match page.next_token() {
            Some(next) => token = Some(next.to_owned()),
            None => break,
        }
    }
    let ids: HashSet<_> = seen.iter().map(|it| it.action_execution_id().unwrap()).collect();
    assert_eq!((seen.len(), ids.len()), (26, 26), "25 sources and one approval, each once, and none that came later");
    assert_eq!(pages, 7);
    let executions: Vec<_> = seen.iter().map(|it| it.pipeline_execution_id().unwrap()).collect();
    let oldest = executions.last().unwrap();
    let of_oldest: Vec<_> = seen.iter().filter(|it| it.pipeline_execution_id() == Some(oldest)).collect();
    let names: Vec<_> = of_oldest.iter().map(|it| it.action_name().unwrap()).collect();
    assert_eq!(names, ["Approve", "Fetch"]);
    let starts: Vec<_> = of_oldest.iter().map(|it| it.start_time().unwrap().as_nanos()).collect();
    assert!(starts[0] > starts[1]);
    let all = client.list_action_executions().pipeline_name("release").send().await.unwrap();
    assert_eq!((all.action_execution_details().len(), all.next_token()), (27, None));
}

#[tokio::test]
async fn action_executions_of_one_execution() {
    in_both(|world, client| async move {
        let ids = started(&world, 3).await;
        let filter = |id: &str| ActionExecutionFilter::builder().pipeline_execution_id(id).build();
        let oldest = ids.last().unwrap();
        let list = || client.list_action_executions().pipeline_name("release").filter(filter(oldest)).max_results(1);
        let first = list().send().await.unwrap();
        assert_eq!(first.action_execution_details()[0].action_name(), Some("Approve"));
        let second = list().next_token(first.next_token().unwrap()).send().await.unwrap();
        assert_eq!(second.action_execution_details()[0].action_name(), Some("Fetch"));
        assert_eq!(second.next_token(), None);

        let (code, _) =
            refused!(client.list_action_executions().pipeline_name("release").next_token(first.next_token().unwrap()));
        assert_eq!(code, "InvalidNextTokenException", "the token is of another filter");
        for unknown in ["11111111-2222-4333-8444-555555555555", "11111111-2222-8333-8444-000000000000"] {
            let (code, _) = refused!(client.list_action_executions().pipeline_name("release").filter(filter(unknown)));
            assert_eq!(code, "PipelineExecutionNotFoundException");
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_token_holds_only_where_it_was_given() {
    let world = World::new();
    let client = client(&world);
    started(&world, 3).await;
    client.create_pipeline().pipeline(release("other", &[])).send().await.unwrap();
    let page = client.list_pipeline_executions().pipeline_name("release").max_results(1).send().await.unwrap();
    let token = page.next_token().unwrap();
    let codes = [
        refused!(client.list_pipeline_executions().pipeline_name("other").next_token(token)).0,
        refused!(client.list_action_executions().pipeline_name("release").next_token(token)).0,
        refused!(client.list_pipelines().next_token(token)).0,
        refused!(client.list_pipeline_executions().pipeline_name("release").next_token(format!("{token}x"))).0,
    ];
    assert_eq!(codes, ["InvalidNextTokenException"; 4]);
    let forged = wire::page::encode(&("ListPipelineExecutions", ["release"], "no cursor of ours")).unwrap();
    let (code, _) = refused!(client.list_pipeline_executions().pipeline_name("release").next_token(forged));
    assert_eq!(code, "InvalidNextTokenException");
}

fn succeeded_in(stage: &str) -> PipelineExecutionFilter {
    let stage = SucceededInStageFilter::builder().stage_name(stage).build();
    PipelineExecutionFilter::builder().succeeded_in_stage(stage).build()
}

#[tokio::test]
async fn executions_that_succeeded_in_a_stage_are_listed_by_pages() {
    in_both(|world, client| async move {
        let ids = started(&world, 30).await;
        let list = |stage: &str| client.list_pipeline_executions().pipeline_name("release").filter(succeeded_in(stage));
        let (mut found, mut token, mut sizes) = (Vec::new(), None, Vec::new());
        loop {
            let page = list("Source").max_results(12).set_next_token(token).send().await.unwrap();
            let page_ids = page.pipeline_execution_summaries().iter().map(|it| it.pipeline_execution_id().unwrap());
            found.extend(page_ids.map(ToOwned::to_owned));
            sizes.push(page.pipeline_execution_summaries().len());
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!((sizes, found), (vec![12, 12, 6], ids));
        assert!(list("Ask").send().await.unwrap().pipeline_execution_summaries().is_empty(), "nobody has approved");
        let (code, message) = refused!(list("Nowhere"));
        assert_eq!(code, "ValidationException");
        assert!(message.contains("Nowhere"), "{message}");
        let page = list("Source").max_results(1).send().await.unwrap();
        let token = page.next_token().unwrap();
        let codes = [
            refused!(list("Ask").next_token(token)).0,
            refused!(client.list_pipeline_executions().pipeline_name("release").next_token(token)).0,
        ];
        assert_eq!(codes, ["InvalidNextTokenException"; 2], "the token is of another filter");
        let none = PipelineExecutionFilter::builder().succeeded_in_stage(SucceededInStageFilter::builder().build());
        let nameless = client.list_pipeline_executions().pipeline_name("release").filter(none.build());
        assert_eq!(refused!(nameless).0, "ValidationException");
    })
    .await;
}

#[tokio::test]
async fn only_executions_of_the_current_version_count_as_succeeded_in_a_stage() {
    let world = World::new();
    let client = client(&world);
    started(&world, 3).await;
    client.update_pipeline().pipeline(release("release", &[])).send().await.unwrap();
    let list = async || {
        let found = client.list_pipeline_executions().pipeline_name("release").filter(succeeded_in("Source"));
        let found = found.send().await.unwrap();
        assert_eq!(found.next_token(), None);
        found.pipeline_execution_summaries().len()
    };
    assert_eq!(list().await, 0);
    client.start_pipeline_execution().name("release").send().await.unwrap();
    assert_eq!(list().await, 0, "it has not succeeded yet");
    world.work().await;
    assert_eq!(list().await, 1);
}

#[tokio::test]
async fn a_page_that_looked_at_many_executions_for_nothing_says_where_to_go_on() {
    let world = World::new();
    let client = client(&world);
    started(&world, 1_050).await;
    let list = || client.list_pipeline_executions().pipeline_name("release").filter(succeeded_in("Ask"));
    let first = list().send().await.unwrap();
    assert!(first.pipeline_execution_summaries().is_empty() && first.next_token().is_some());
    let second = list().next_token(first.next_token().unwrap()).send().await.unwrap();
    assert!(second.pipeline_execution_summaries().is_empty() && second.next_token().is_none());
}

#[tokio::test]
async fn the_latest_action_executions_of_an_execution() {
    in_both(|world, client| async move {
        let ids = started(&world, 2).await;
        let filter = |range: StartTimeRange, both: bool| {
            let latest = LatestInPipelineExecutionFilter::builder()
                .pipeline_execution_id(&ids[1])
                .start_time_range(range)
                .build()
                .unwrap();
            ActionExecutionFilter::builder()
                .latest_in_pipeline_execution(latest)
                .set_pipeline_execution_id(both.then(|| ids[1].clone()))
                .build()
        };
        for range in [StartTimeRange::Latest, StartTimeRange::All] {
            let list = client.list_action_executions().pipeline_name("release").filter(filter(range.clone(), false));
            let found = list.max_results(1).send().await.unwrap();
            assert_eq!(found.action_execution_details()[0].pipeline_execution_id(), Some(ids[1].as_str()), "{range:?}");
            let other = if range == StartTimeRange::All { StartTimeRange::Latest } else { StartTimeRange::All };
            let token = found.next_token().unwrap();
            let foreign = client.list_action_executions().pipeline_name("release").filter(filter(other, false));
            assert_eq!(refused!(foreign.next_token(token)).0, "InvalidNextTokenException");
        }
        let both = client.list_action_executions().pipeline_name("release").filter(filter(StartTimeRange::All, true));
        assert_eq!(refused!(both).0, "ValidationException");
    })
    .await;
}

#[tokio::test]
async fn an_execution_is_found_only_in_its_own_pipeline() {
    in_both(|world, client| async move {
        let ids = started(&world, 1).await;
        client.create_pipeline().pipeline(release("other", &[])).send().await.unwrap();
        let get = |pipeline: &str, id: &str| {
            client.get_pipeline_execution().pipeline_name(pipeline).pipeline_execution_id(id)
        };
        get("release", &ids[0]).send().await.unwrap();
        assert_eq!(refused!(get("other", &ids[0])).0, "PipelineExecutionNotFoundException");
        let random = "11111111-2222-4333-8444-555555555555";
        assert_eq!(refused!(get("release", random)).0, "PipelineExecutionNotFoundException");
        assert_eq!(refused!(get("gone", random)).0, "PipelineNotFoundException");
        assert_eq!(refused!(get("release", "nonsense")).0, "ValidationException");
    })
    .await;
}
