//! The samples of `samples/run` on an emulator, from their files to the reports.

use std::path::PathBuf;

use local::{AWAY, Emulator, Lifetime, Options};
use serde_json::{Value, json};

use super::*;
use crate::samples;

pub(super) const SAMPLE: &str = include_str!("../../samples/run/pipeline.json");
pub(super) const TEMPLATE: &str = include_str!("../../samples/run/template.yaml");

const REAL: &str = "real";
const STAND_IN: &str = "stand-in";

fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/run")
}

pub(super) fn sample_source() -> Source {
    Source::read(&samples().join("source")).unwrap()
}

fn wanted(file: &str, keep: bool) -> Wanted {
    Wanted {
        file: samples().join(file),
        source: samples().join("source"),
        parameters: Vec::new(),
        pipeline: None,
        yes: true,
        json: true,
        keep,
        job_worker: None,
    }
}

/// Stage, action, kind and status of each action.
fn rows(report: &Value) -> Vec<[&str; 4]> {
    let actions = report["actions"].as_array().unwrap().iter();
    actions.map(|it| ["stage", "action", "kind", "status"].map(|key| it[key].as_str().unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_run_to_their_end() {
    let options = Options { name: Some("run-ministack".into()), lifetime: Lifetime::UntilExit, ..Options::default() };
    let stack = Stack::up(Emulator::Ministack, options).await.unwrap();

    let kept = wanted("pipeline.json", true);
    let report = run(&stack, &kept, kept.read().unwrap()).await.unwrap();
    assert!(report.has_succeeded(), "{report:?}");
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(
        rows(&report),
        [
            ["Source", "Repository", "real", "Succeeded"],
            ["Build", "Pages", "real", "Succeeded"],
            ["Build", "Audit", "stand-in", "Succeeded"],
            ["Release", "Approve", "real", "Succeeded"],
            ["Deploy", "Site", "real", "Succeeded"],
            ["Deploy", "Servers", "stand-in", "Succeeded"],
        ]
    );
    assert_eq!((&report["pipeline"], &report["status"]), (&json!("shop"), &json!("Succeeded")));
    assert!(report["seconds"].as_f64().unwrap() > report["actions"][1]["seconds"].as_f64().unwrap(), "{report}");
    let page = stack.s3(AWAY).get_object().bucket("shop-site").key("index.html").send().await.unwrap();
    let page = String::from_utf8(page.body.collect().await.unwrap().to_vec()).unwrap();
    let address = format!("{}/example/shop.git", stack.value("MILLRACE_GIT_URL").unwrap());
    let pushed = code_host::git().args(["ls-remote", &address, "refs/heads/main"]).output().unwrap();
    let pushed = String::from_utf8(pushed.stdout).unwrap();
    let commit = pushed.split_whitespace().next().unwrap();
    assert!(page.contains(commit), "the build has read the source's variable: {page}");

    let again = run(&stack, &kept, kept.read().unwrap()).await.unwrap_err().to_string();
    assert!(again.contains("there is a pipeline shop on the local stack already"), "{again}");
    stack.codepipeline().delete_pipeline().name("shop").send().await.unwrap();

    let before = left(&stack).await;
    let template = wanted("template.yaml", false);
    let report = run(&stack, &template, template.read().unwrap()).await.unwrap();
    assert!(report.has_succeeded(), "{report:?}");
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(
        rows(&report),
        [
            ["Source", "Code", "stand-in", "Succeeded"],
            ["Build", "Pages", "real", "Succeeded"],
            ["Build", "Check", "real", "Succeeded"],
            ["Build", "Load", "real", "Succeeded"],
            ["Release", "Approve", "real", "Succeeded"],
            ["Deploy", "Site", "real", "Succeeded"],
        ]
    );
    assert_eq!(left(&stack).await, before, "everything that was made is deleted");

    a_kept_pipeline_starts_by_its_source(&stack).await;
    a_function_of_the_template_gets_new_code(&stack).await;
    each_sample_of_the_demo_runs(&stack).await;
}

/// Its alias and the version behind that are made with it.
async fn a_function_of_the_template_gets_new_code(stack: &Stack) {
    let action = |category: &str, provider: &str, configuration: Value| {
        let id = json!({"Category": category, "Owner": "AWS", "Provider": provider, "Version": "1"});
        json!({"Name": category, "ActionTypeId": id, "Configuration": configuration})
    };
    let mut source = action("Source", "S3", json!({"S3Bucket": "function-source", "S3ObjectKey": "app.zip"}));
    source["OutputArtifacts"] = json!([{"Name": "App"}]);
    let mut deploy = action("Deploy", "Lambda", json!({"FunctionName": {"Ref": "Greet"}, "FunctionAlias": "live"}));
    deploy["InputArtifacts"] = json!([{"Name": "App"}]);
    let stages = json!([{"Name": "Source", "Actions": [source]}, {"Name": "Deploy", "Actions": [deploy]}]);
    let document = json!({"Resources": {
        "Greet": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "greet", "Runtime": "python3.12",
            "Handler": "index.handler", "Role": "any", "Code": {"ZipFile": "def handler(event, context): return 'old'"}}},
        "Pipeline": {"Type": "AWS::CodePipeline::Pipeline", "Properties": {"Name": "function", "RoleArn": "any",
            "PipelineType": "V2", "ArtifactStore": {"Type": "S3", "Location": "any"}, "Stages": stages}},
    }});
    let folder = tempfile::tempdir().unwrap();
    let (file, source) = (folder.path().join("function.json"), folder.path().join("source"));
    std::fs::write(&file, document.to_string()).unwrap();
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("index.py"), "def handler(event, context): return 'new'").unwrap();
    let kept = Wanted { file, source, ..wanted("function.json", true) };
    let report = run(stack, &kept, kept.read().unwrap()).await.unwrap();
    assert!(report.has_succeeded(), "{report:?}");
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(rows(&report), [["Source", "Source", "real", "Succeeded"], ["Deploy", "Deploy", "real", "Succeeded"]]);
    let lambda = aws_sdk_lambda::Client::new(&stack.sdk(HOME));
    let said = lambda.invoke().function_name("greet").qualifier("live").send().await.unwrap();
    assert_eq!(said.payload().unwrap().as_ref(), br#""new""#);
}

/// Side by side, as their names, stacks and jobs are their own. On the heap: together they are more than a test's stack holds.
async fn each_sample_of_the_demo_runs(stack: &Stack) {
    let before = left(stack).await;
    tokio::join!(
        Box::pin(demo(stack, "beanstalk", &[REAL, REAL, STAND_IN])),
        Box::pin(demo(stack, "blue-green", &[STAND_IN, REAL, REAL, STAND_IN])),
        Box::pin(demo(stack, "cdk", &[REAL, REAL, STAND_IN, REAL, REAL, REAL, REAL, REAL, REAL])),
        Box::pin(demo(stack, "cloudformation", &[REAL; 5])),
        Box::pin(demo(stack, "ecs", &[STAND_IN, REAL, REAL])),
        Box::pin(demo(stack, "git", &[REAL; 4])),
        Box::pin(demo(stack, "jenkins", &[REAL; 3])),
        Box::pin(demo(stack, "stack-sets", &[REAL, STAND_IN, STAND_IN])),
    );
    assert_eq!(left(stack).await, before, "everything that was made is deleted");
}

async fn demo(stack: &Stack, name: &str, kinds: &[&str]) {
    let sample = samples::find(name).unwrap();
    let wanted = tokio::task::spawn_blocking(move || sample.wanted(true)).await.unwrap().unwrap();
    let wanted = Wanted { json: true, ..wanted };
    let report = run(stack, &wanted, wanted.read().unwrap()).await.unwrap();
    assert!(report.has_succeeded(), "{name}: {report:?}");
    let report = serde_json::to_value(&report).unwrap();
    let found: Vec<_> = rows(&report).iter().map(|row| row[2]).collect();
    assert_eq!(found, kinds, "{name}: {report}");
}

/// A pipeline that stays is started by a new object, as any other.
async fn a_kept_pipeline_starts_by_its_source(stack: &Stack) {
    let stage = |name: &str, action: Value| json!({"name": name, "actions": [action]});
    let action = |category: &str, configuration: Value| {
        let id = json!({"category": category, "owner": "AWS", "provider": "S3", "version": "1"});
        json!({"name": category, "actionTypeId": id, "configuration": configuration})
    };
    let mut source = action("Source", json!({"S3Bucket": "kept-source", "S3ObjectKey": "app.zip"}));
    source["outputArtifacts"] = json!([{"name": "App"}]);
    let mut deploy = action("Deploy", json!({"BucketName": "kept-site", "Extract": "true"}));
    deploy["inputArtifacts"] = json!([{"name": "App"}]);
    let document = json!({"pipeline": {"name": "kept", "roleArn": "any", "artifactStore": {"type": "S3", "location": "any"},
        "stages": [stage("Source", source), stage("Deploy", deploy)]}});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let kept = Wanted { file, ..wanted("kept.json", true) };
    let report = run(stack, &kept, kept.read().unwrap()).await.unwrap();
    assert!(report.has_succeeded(), "{report:?}");

    let client = stack.codepipeline();
    let body = sample_source().zip;
    stack.s3(HOME).put_object().bucket("kept-source").key("app.zip").body(body.into()).send().await.unwrap();
    let began = Instant::now();
    while client
        .list_pipeline_executions()
        .pipeline_name("kept")
        .send()
        .await
        .unwrap()
        .pipeline_execution_summaries()
        .len()
        < 2
    {
        assert!(began.elapsed() < Duration::from_secs(60), "the new object has started nothing");
        tokio::time::sleep(TICK).await;
    }
}

/// What is on the stack that a run could have made.
async fn left(stack: &Stack) -> Vec<String> {
    let config = stack.sdk(HOME);
    let buckets = stack.s3(HOME).list_buckets().send().await.unwrap();
    let functions = aws_sdk_lambda::Client::new(&config).list_functions().send().await.unwrap();
    let machines = aws_sdk_sfn::Client::new(&config).list_state_machines().send().await.unwrap();
    let topics = aws_sdk_sns::Client::new(&config).list_topics().send().await.unwrap();
    let projects = resources::codebuild(stack, HOME).unwrap().list_projects().send().await.unwrap();
    let pipelines = stack.codepipeline().list_pipelines().send().await.unwrap();
    let types = stack.codepipeline().list_action_types();
    let types = types.action_owner_filter(aws_sdk_codepipeline::types::ActionOwner::Custom).send().await.unwrap();
    let mut names: Vec<_> = buckets.buckets().iter().filter_map(|it| it.name().map(str::to_owned)).collect();
    names.extend(functions.functions().iter().filter_map(|it| it.function_name().map(str::to_owned)));
    names.extend(machines.state_machines().iter().map(|it| it.name().to_owned()));
    names.extend(topics.topics().iter().filter_map(|it| it.topic_arn().map(str::to_owned)));
    names.extend(projects.projects().iter().cloned());
    names.extend(pipelines.pipelines().iter().filter_map(|it| it.name().map(str::to_owned)));
    let owners =
        std::fs::read_dir(stack.repositories()).unwrap().flat_map(|it| std::fs::read_dir(it.unwrap().path()).unwrap());
    names.extend(owners.map(|it| it.unwrap().path().display().to_string()));
    names.extend(types.action_types().iter().map(|it| format!("{:?}", it.id())));
    names.sort();
    names
}
