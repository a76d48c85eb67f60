//! The API around builds: projects, lists, errors, and whom the server refuses.

use aws_sdk_codebuild::types::{ArtifactsType, ProjectArtifacts, ProjectSource, SourceType};

use crate::world::{World, environment};

#[tokio::test]
async fn projects_and_errors_are_as_the_api_says() {
    let world = World::new().await;
    let client = &world.codebuild;
    world.project("app").await;
    let source = ProjectSource::builder().r#type(SourceType::NoSource).buildspec("version: 0.2\n").build().unwrap();
    let none = ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().unwrap();
    let create = |name: &str| {
        let create = client.create_project().name(name).source(source.clone()).artifacts(none.clone());
        create.environment(environment()).service_role("arn:aws:iam::000000000000:role/b")
    };
    let twice = create("app").send().await.unwrap_err().into_service_error();
    assert!(twice.is_resource_already_exists_exception(), "{twice:?}");
    let named = create("a b").send().await.unwrap_err().into_service_error();
    assert!(named.is_invalid_input_exception(), "{named:?}");
    create("other").send().await.unwrap();

    let updated = client.update_project().name("app").timeout_in_minutes(7).send().await.unwrap().project.unwrap();
    assert_eq!((updated.timeout_in_minutes, updated.source.unwrap().r#type), (Some(7), SourceType::Codepipeline));
    let short = client.update_project().name("app").timeout_in_minutes(1).send().await.unwrap_err();
    assert!(short.into_service_error().is_invalid_input_exception());
    let found = client.batch_get_projects().names("app").names("none").send().await.unwrap();
    assert_eq!((found.projects().len(), found.projects_not_found()), (1, &["none".to_owned()][..]));
    assert_eq!(client.list_projects().send().await.unwrap().projects(), ["app", "other"]);

    let unknown = client.start_build().project_name("none").send().await.unwrap_err().into_service_error();
    assert!(unknown.is_resource_not_found_exception(), "{unknown:?}");
    let pipeline = client.start_build().project_name("app").send().await.unwrap_err().into_service_error();
    assert!(pipeline.is_invalid_input_exception(), "only a pipeline can give it sources: {pipeline:?}");
    let stopped = client.stop_build().id("app:1").send().await.unwrap_err().into_service_error();
    assert!(stopped.is_resource_not_found_exception(), "{stopped:?}");
    let listed = client.list_builds_for_project().project_name("none").send().await.unwrap_err();
    assert!(listed.into_service_error().is_resource_not_found_exception());

    let spec = "version: 0.2\nphases: {build: {commands: [true]}}\n";
    let (first, second) = (world.start("other", spec).await, world.start("other", spec).await);
    let builds = client.list_builds_for_project().project_name("other").send().await.unwrap();
    assert_eq!(builds.ids(), [second.clone(), first.clone()]);
    assert_eq!(client.list_builds().send().await.unwrap().ids(), [second, first.clone()]);
    assert!(client.list_builds_for_project().project_name("app").send().await.unwrap().ids().is_empty());
    let got = client.batch_get_builds().ids(&first).ids("other:none").send().await.unwrap();
    assert_eq!((got.builds().len(), got.builds_not_found()), (1, &["other:none".to_owned()][..]));
    client.delete_project().name("other").send().await.unwrap();
    client.delete_project().name("other").send().await.unwrap();
    assert_eq!(client.list_projects().send().await.unwrap().projects(), ["app"]);
    world.end(&first).await;
}

#[tokio::test]
async fn who_is_no_local_client_is_refused() {
    let world = World::new().await;
    let endpoint = world.host.endpoint();
    let signed = "AWS4-HMAC-SHA256 Credential=test/20261125/eu-west-1/codebuild/aws4_request, Signature=00";
    let call = move |host: Option<&'static str>,
                     authorization: Option<&'static str>,
                     operation: &'static str,
                     body: String| {
        let endpoint = endpoint.clone();
        async move {
            let sent = tokio::task::spawn_blocking(move || {
                let agent =
                    ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
                let mut post = agent.post(&endpoint).header("x-amz-target", format!("CodeBuild_20161006.{operation}"));
                if let Some(host) = host {
                    post = post.header("host", host);
                }
                if let Some(authorization) = authorization {
                    post = post.header("authorization", authorization);
                }
                let mut answer = post.send(body).unwrap();
                (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
            });
            sent.await.unwrap()
        }
    };
    let list = |host, authorization| call(host, authorization, "ListProjects", "{}".to_owned());
    assert_eq!(list(None, Some(signed)).await.0, 200);
    assert_eq!(list(Some("localhost"), Some(signed)).await.0, 200);
    for (host, authorization) in [(Some("rebound.example.com"), Some(signed)), (None, None), (None, Some("Bearer x"))] {
        let (status, body) = list(host, authorization).await;
        assert!(status == 403 && body.contains("__type"), "{host:?} {authorization:?}: {status} {body}");
    }
    let (status, body) = call(None, Some(signed), "CreateFleet", "{}".to_owned()).await;
    assert!(status == 501 && body.contains("CreateFleet is not among"), "{status} {body}");
    let (status, body) = call(None, Some(signed), "ListProjects", "{".to_owned()).await;
    assert!(status == 400 && body.contains("SerializationException"), "{status} {body}");
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(3 << 20));
    let (status, _) = call(None, Some(signed), "ListProjects", large).await;
    assert_eq!(status, 413);
}
