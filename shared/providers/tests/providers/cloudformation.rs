use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use testkit::Aws;

use crate::{artifact, failed, input, registry, succeeded, task};

const ID: &str = "arn:aws:cloudformation:eu-west-1:111122223333:stack/shop/1111";

fn deploy(mode: &str, configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("ActionMode", mode), ("StackName", "shop")];
    all.extend(configuration);
    Task { inputs: vec![input("App")], ..task("Deploy", "CloudFormation", &all) }
}

fn files(aws: &Aws) {
    let zip = write_zip([
        ("stack.yml", "Resources: {}"),
        ("bad.json", "["),
        (
            "prod.json",
            r#"{"Parameters": {"Size": "3", "Name": "a"}, "Tags": {"team": "x"}, "StackPolicy": {"Statement": []}}"#,
        ),
        ("build.json", r#"{"image": "repo@sha256:1"}"#),
    ]);
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &zip.unwrap());
}

fn answer(operation: &str, body: &str) -> String {
    format!("<{operation}Response><{operation}Result>{body}</{operation}Result></{operation}Response>")
}

fn describes(aws: &Aws, status: &str, more: &str) {
    let stack = format!(
        "<Stacks><member><StackName>shop</StackName><StackId>{ID}</StackId><CreationTime>2026-01-01T00:00:00Z\
         </CreationTime><StackStatus>{status}</StackStatus>{more}</member></Stacks>"
    );
    aws.on("DescribeStacks", 200, answer("DescribeStacks", &stack));
}

fn refuses(aws: &Aws, operation: &str, code: &str, message: &str) {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    aws.on(operation, 400, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"));
}

fn absent(aws: &Aws) {
    refuses(aws, "DescribeStacks", "ValidationError", "Stack with id shop does not exist");
}

fn event(status: &str, logical: &str, token: &str, reason: &str) -> String {
    format!(
        "<member><StackId>{ID}</StackId><EventId>{logical}-{status}</EventId><StackName>shop</StackName>\
         <LogicalResourceId>{logical}</LogicalResourceId><ResourceType>AWS::S3::Bucket</ResourceType>\
         <Timestamp>2026-01-01T00:00:00Z</Timestamp><ResourceStatus>{status}</ResourceStatus>\
         <ResourceStatusReason>{reason}</ResourceStatusReason><ClientRequestToken>{token}</ClientRequestToken></member>"
    )
}

fn events(aws: &Aws, events: &[String]) {
    let body = format!("<StackEvents>{}</StackEvents>", events.concat());
    aws.on("DescribeStackEvents", 200, answer("DescribeStackEvents", &body));
}

fn takes(aws: &Aws, operation: &str) {
    aws.on(operation, 200, answer(operation, &format!("<StackId>{ID}</StackId><Id>{ID}</Id>")));
}

fn started(task: Task) -> Task {
    Task { external: Some(External { id: ID.into(), url: None }), ..task }
}

fn token(task: &Task) -> String {
    format!("Millrace-{}", task.id)
}

/// The form of a request: CloudFormation's protocol is query strings.
fn sent(aws: &Aws, operation: &str) -> std::collections::BTreeMap<String, String> {
    let body = aws.calls(operation).pop().unwrap().text();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        let value = percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned();
        (name.to_owned(), value)
    };
    body.split('&').map(pair).collect()
}

async fn runs(aws: &Aws, task: &Task) {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, .. } => assert_eq!(report.external.unwrap().id, ID),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stack_that_is_not_there_is_created_with_parameters_tags_and_policy() {
    let aws = Aws::default();
    files(&aws);
    absent(&aws);
    takes(&aws, "CreateStack");
    let task = deploy(
        "CREATE_UPDATE",
        &[
            ("TemplatePath", "App::stack.yml"),
            ("TemplateConfiguration", "App::prod.json"),
            ("Capabilities", "CAPABILITY_IAM, CAPABILITY_AUTO_EXPAND"),
            ("RoleArn", "arn:aws:iam::111122223333:role/stack"),
            (
                "ParameterOverrides",
                r#"{"Name": "b", "Bucket": {"Fn::GetArtifactAtt": ["App", "BucketName"]},
                    "Image": {"Fn::GetParam": ["App", "build.json", "image"]}, "Zones": ["a", "b"]}"#,
            ),
        ],
    );
    runs(&aws, &task).await;
    assert_eq!(aws.calls("CreateStack")[0].role, "pipeline");
    let sent = sent(&aws, "CreateStack");
    let value = |name: &str| sent.get(name).map(String::as_str);
    assert_eq!(value("StackName"), Some("shop"));
    assert_eq!(value("ClientRequestToken"), Some(token(&task).as_str()));
    assert_eq!(value("TemplateBody"), Some("Resources: {}"));
    assert_eq!(value("Capabilities.member.2"), Some("CAPABILITY_AUTO_EXPAND"));
    assert_eq!(value("RoleARN"), Some("arn:aws:iam::111122223333:role/stack"));
    assert_eq!(value("StackPolicyBody"), Some(r#"{"Statement":[]}"#));
    assert_eq!((value("Tags.member.1.Key"), value("Tags.member.1.Value")), (Some("team"), Some("x")));
    let parameter = |index: usize| {
        let name = format!("Parameters.member.{index}.Parameter");
        Some((value(&format!("{name}Key"))?, value(&format!("{name}Value"))?))
    };
    let parameters: Vec<_> = (1..).map_while(parameter).collect();
    assert_eq!(
        parameters,
        [("Bucket", "store-eu"), ("Image", "repo@sha256:1"), ("Name", "b"), ("Size", "3"), ("Zones", "a,b")],
        "an override goes before the file's value"
    );
}

#[tokio::test]
async fn a_stack_that_is_there_is_updated_and_one_without_changes_succeeds() {
    let aws = Aws::default();
    files(&aws);
    describes(
        &aws,
        "UPDATE_COMPLETE",
        "<Outputs><member><OutputKey>Url</OutputKey><OutputValue>https://a</OutputValue></member></Outputs>",
    );
    takes(&aws, "UpdateStack");
    let mut task = deploy("CREATE_UPDATE", &[("TemplatePath", "App::stack.yml"), ("OutputFileName", "out.json")]);
    task.outputs = vec![artifact("Out")];
    runs(&aws, &task).await;
    assert_eq!(sent(&aws, "UpdateStack")["ClientRequestToken"], token(&task));
    refuses(&aws, "UpdateStack", "ValidationError", "No updates are to be performed.");
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(done.variables, [("Url".to_owned(), "https://a".to_owned())].into());
    let expected = write_zip([("out.json", r#"{"Url":"https://a"}"#)]).unwrap();
    assert_eq!(aws.stored("store-eu/shop/Out/abcdefghijklmnop").data, expected);
    refuses(&aws, "UpdateStack", "ValidationError", "Parameters: [Wrong] do not exist in the template");
    let error = failed(&registry(&aws), &task).await;
    assert!(
        error.message.contains("UpdateStack of shop failed: ValidationError: Parameters: [Wrong]"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn an_output_artifact_is_there_also_where_no_file_is_named() {
    let aws = Aws::default();
    files(&aws);
    describes(&aws, "UPDATE_COMPLETE", "");
    refuses(&aws, "UpdateStack", "ValidationError", "No updates are to be performed.");
    let mut task = deploy("CREATE_UPDATE", &[("TemplatePath", "App::stack.yml")]);
    task.outputs = vec![artifact("Out")];
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(done.outputs.len(), 1);
    let nothing: [(&str, &str); 0] = [];
    assert_eq!(aws.stored("store-eu/shop/Out/abcdefghijklmnop").data, write_zip(nothing).unwrap());
    absent(&aws);
    let mut task = deploy("DELETE_ONLY", &[]);
    task.outputs = vec![artifact("Out")];
    assert_eq!(succeeded(&registry(&aws), &task).await.outputs.len(), 1, "also of a stack that is gone");
    change_set(&aws, "CREATE_COMPLETE", "", "");
    let mut task =
        started(deploy("CHANGE_SET_REPLACE", &[("TemplatePath", "App::stack.yml"), ("ChangeSetName", "next")]));
    task.outputs = vec![artifact("Out")];
    let Outcome::Succeeded(done) = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(done.outputs.len(), 1, "also of a change set");
}

#[tokio::test]
async fn what_a_lost_worker_asked_for_is_not_asked_for_again() {
    let aws = Aws::default();
    files(&aws);
    describes(&aws, "CREATE_IN_PROGRESS", "");
    for mode in ["CREATE_UPDATE", "REPLACE_ON_FAILURE", "DELETE_ONLY", "CHANGE_SET_EXECUTE"] {
        let configuration = [("TemplatePath", "App::stack.yml"), ("ChangeSetName", "next")];
        let task = Task { reclaimed: true, ..deploy(mode, &configuration) };
        events(&aws, &[event("CREATE_IN_PROGRESS", "shop", &token(&task), "User Initiated")]);
        runs(&aws, &task).await;
    }
    let changing = ["CreateStack", "UpdateStack", "DeleteStack", "ExecuteChangeSet"];
    assert!(aws.operations().iter().all(|it| !changing.contains(&it.as_str())), "{:?}", aws.operations());
}

#[tokio::test]
async fn the_end_of_a_stack_is_its_action_s_with_what_failed_first() {
    let aws = Aws::default();
    let task = started(deploy("CREATE_UPDATE", &[("TemplatePath", "App::stack.yml")]));
    for status in ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"] {
        describes(&aws, status, "");
        assert!(matches!(registry(&aws).poll(&task).await.unwrap(), Outcome::Running { poll: true, .. }), "{status}");
    }
    describes(&aws, "CREATE_COMPLETE", "");
    assert!(matches!(registry(&aws).poll(&task).await.unwrap(), Outcome::Succeeded(_)));
    describes(&aws, "ROLLBACK_COMPLETE", "");
    events(
        &aws,
        &[
            event("ROLLBACK_COMPLETE", "shop", &token(&task), ""),
            event("CREATE_FAILED", "Queue", &token(&task), "Resource creation cancelled"),
            event("CREATE_FAILED", "Bucket", &token(&task), "site already exists"),
            event("CREATE_FAILED", "Older", "another", "of another deployment"),
        ],
    );
    let Outcome::Failed { error, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(error.message, "The stack shop is ROLLBACK_COMPLETE: Bucket (AWS::S3::Bucket): site already exists");
    // Where events do not say of which request they are, those of its time are.
    let anonymous = |logical: &str, year: &str| {
        event("CREATE_FAILED", logical, "", "refused")
            .replace("<ClientRequestToken></ClientRequestToken>", "")
            .replace("2026-01-01", year)
    };
    events(&aws, &[anonymous("Now", "2026-11-24"), anonymous("Before", "2026-01-01")]);
    let Outcome::Failed { error, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(error.message, "The stack shop is ROLLBACK_COMPLETE: Now (AWS::S3::Bucket): refused");
    absent(&aws);
    let Outcome::Failed { error, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert!(error.message.contains("is gone"), "{}", error.message);
}

#[tokio::test]
async fn a_failed_stack_is_deleted_and_created_anew_where_that_is_asked_for() {
    let aws = Aws::default();
    files(&aws);
    describes(&aws, "ROLLBACK_COMPLETE", "");
    takes(&aws, "DeleteStack");
    let task = deploy("REPLACE_ON_FAILURE", &[("TemplatePath", "App::stack.yml")]);
    runs(&aws, &task).await;
    assert_eq!(sent(&aws, "DeleteStack")["ClientRequestToken"], format!("{}-delete", token(&task)));
    describes(&aws, "DELETE_IN_PROGRESS", "");
    let polled = started(task.clone());
    assert!(matches!(registry(&aws).poll(&polled).await.unwrap(), Outcome::Running { .. }));
    events(&aws, &[event("DELETE_IN_PROGRESS", "shop", &format!("{}-delete", token(&task)), "")]);
    runs(&aws, &Task { reclaimed: true, ..task.clone() }).await;
    assert_eq!(aws.calls("DeleteStack").len(), 1);
    describes(&aws, "DELETE_COMPLETE", "");
    assert!(matches!(registry(&aws).poll(&polled).await.unwrap(), Outcome::Continue { .. }), "it is started again");
    absent(&aws);
    takes(&aws, "CreateStack");
    runs(&aws, &task).await;
    describes(&aws, "UPDATE_ROLLBACK_COMPLETE", "");
    takes(&aws, "UpdateStack");
    runs(&aws, &task).await;
    assert_eq!(aws.calls("UpdateStack").len(), 1, "an update that was rolled back leaves a stack that works");
}

#[tokio::test]
async fn deleting_what_is_not_there_succeeds() {
    let aws = Aws::default();
    absent(&aws);
    let task = deploy("DELETE_ONLY", &[]);
    succeeded(&registry(&aws), &task).await;
    describes(&aws, "CREATE_COMPLETE", "");
    takes(&aws, "DeleteStack");
    runs(&aws, &task).await;
    let polled = started(task);
    describes(&aws, "DELETE_COMPLETE", "");
    assert!(matches!(registry(&aws).poll(&polled).await.unwrap(), Outcome::Succeeded(_)));
    describes(&aws, "DELETE_FAILED", "<StackStatusReason>The bucket is not empty</StackStatusReason>");
    events(&aws, &[]);
    let Outcome::Failed { error, .. } = registry(&aws).poll(&polled).await.unwrap() else { panic!() };
    assert_eq!(error.message, "The stack shop is DELETE_FAILED: The bucket is not empty");
}

fn change_set(aws: &Aws, status: &str, reason: &str, description: &str) {
    let body = format!(
        "<ChangeSetName>next</ChangeSetName><StackId>{ID}</StackId><StackName>shop</StackName><Status>{status}</Status>\
         <StatusReason>{reason}</StatusReason><Description>{description}</Description>"
    );
    aws.on("DescribeChangeSet", 200, answer("DescribeChangeSet", &body));
}

#[tokio::test]
async fn a_change_set_is_replaced_and_one_without_changes_succeeds() {
    let aws = Aws::default();
    files(&aws);
    absent(&aws);
    refuses(&aws, "DescribeChangeSet", "ValidationError", "Stack [shop] does not exist");
    takes(&aws, "CreateChangeSet");
    let task = deploy("CHANGE_SET_REPLACE", &[("TemplatePath", "App::stack.yml"), ("ChangeSetName", "next")]);
    runs(&aws, &task).await;
    assert_eq!(sent(&aws, "CreateChangeSet")["ChangeSetType"], "CREATE");
    describes(&aws, "UPDATE_COMPLETE", "");
    change_set(&aws, "CREATE_COMPLETE", "", "somebody else's");
    takes(&aws, "DeleteChangeSet");
    runs(&aws, &task).await;
    assert_eq!(sent(&aws, "CreateChangeSet")["ChangeSetType"], "UPDATE");
    assert_eq!(aws.calls("DeleteChangeSet").len(), 1);
    change_set(&aws, "CREATE_IN_PROGRESS", "", &token(&task));
    runs(&aws, &task).await;
    assert_eq!(aws.calls("CreateChangeSet").len(), 2, "its own is not made again");
    let polled = started(task);
    assert!(matches!(registry(&aws).poll(&polled).await.unwrap(), Outcome::Running { .. }));
    change_set(&aws, "FAILED", "The submitted information didn't contain changes. Submit different information.", "");
    assert!(matches!(registry(&aws).poll(&polled).await.unwrap(), Outcome::Succeeded(_)));
    change_set(&aws, "FAILED", "Template error: no such attribute", "");
    let Outcome::Failed { error, .. } = registry(&aws).poll(&polled).await.unwrap() else { panic!() };
    assert_eq!(error.message, "The change set next of shop could not be made: Template error: no such attribute");
}

#[tokio::test]
async fn a_change_set_is_executed_unless_it_is_empty() {
    let aws = Aws::default();
    describes(&aws, "REVIEW_IN_PROGRESS", "");
    change_set(&aws, "CREATE_COMPLETE", "", "");
    takes(&aws, "ExecuteChangeSet");
    let task = deploy("CHANGE_SET_EXECUTE", &[("ChangeSetName", "next")]);
    runs(&aws, &task).await;
    assert_eq!(sent(&aws, "ExecuteChangeSet")["ClientRequestToken"], token(&task));
    change_set(&aws, "FAILED", "No updates are to be performed.", "");
    succeeded(&registry(&aws), &task).await;
    assert_eq!(aws.calls("ExecuteChangeSet").len(), 1);
    refuses(&aws, "DescribeChangeSet", "ChangeSetNotFound", "ChangeSet [next] does not exist");
    let error = failed(&registry(&aws), &task).await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("ConfigurationError", "the stack shop has no change set next")
    );
}

#[tokio::test]
async fn the_stack_policy_of_a_change_set_is_set_when_the_stack_has_been_changed() {
    let aws = Aws::default();
    files(&aws);
    describes(&aws, "UPDATE_COMPLETE", "");
    refuses(&aws, "DescribeChangeSet", "ChangeSetNotFound", "ChangeSet [next] does not exist");
    takes(&aws, "CreateChangeSet");
    let configuration = [("TemplatePath", "App::stack.yml"), ("TemplateConfiguration", "App::prod.json")];
    let mut replace = deploy("CHANGE_SET_REPLACE", &configuration);
    replace.configuration.insert("ChangeSetName".into(), "next".into());
    runs(&aws, &replace).await;
    let description = sent(&aws, "CreateChangeSet")["Description"].clone();
    assert!(description.starts_with(&format!("{} with the stack policy ", token(&replace))), "{description}");
    assert!(aws.calls("SetStackPolicy").is_empty(), "nobody has approved of it");
    change_set(&aws, "CREATE_COMPLETE", "", &description);
    runs(&aws, &replace).await;
    assert_eq!(aws.calls("CreateChangeSet").len(), 1, "its own is not made again");

    let mut execute = deploy("CHANGE_SET_EXECUTE", &[("ChangeSetName", "next")]);
    execute.id = execute.id.execution.action(1, 2, 1);
    takes(&aws, "ExecuteChangeSet");
    let Outcome::Continue { token, .. } = registry(&aws).start(&execute).await.unwrap() else { panic!() };
    assert!(aws.calls("ExecuteChangeSet").is_empty(), "what is to be set then is written down first");
    execute.continuation = Some(token);
    runs(&aws, &execute).await;
    assert_eq!(aws.calls("ExecuteChangeSet").len(), 1);
    let executing = started(execute);
    describes(&aws, "UPDATE_IN_PROGRESS", "");
    assert!(matches!(registry(&aws).poll(&executing).await.unwrap(), Outcome::Running { .. }));
    assert!(aws.calls("SetStackPolicy").is_empty());
    describes(&aws, "UPDATE_COMPLETE", "");
    aws.on("SetStackPolicy", 200, "<SetStackPolicyResponse/>");
    assert!(matches!(registry(&aws).poll(&executing).await.unwrap(), Outcome::Succeeded(_)));
    let set = sent(&aws, "SetStackPolicy");
    assert_eq!((set["StackName"].as_str(), set["StackPolicyBody"].as_str()), (ID, r#"{"Statement":[]}"#));
    refuses(&aws, "SetStackPolicy", "ValidationError", "Policy is not valid");
    let Outcome::Failed { error, .. } = registry(&aws).poll(&executing).await.unwrap() else { panic!() };
    assert!(error.message.contains("Policy is not valid"), "{}", error.message);
    change_set(&aws, "FAILED", "No updates are to be performed.", &description);
    aws.on("SetStackPolicy", 200, "<SetStackPolicyResponse/>");
    succeeded(&registry(&aws), &Task { continuation: None, external: None, ..executing }).await;
    assert_eq!(aws.calls("SetStackPolicy").len(), 3, "also where nothing else was to be changed");
}

#[tokio::test]
async fn files_are_read_out_of_the_artifact_without_the_rest_of_it() {
    let aws = Aws::default();
    let mut state = 7_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(8 << 20)
    .collect();
    let settings = br#"{"Parameters": {"Size": "3"}}"#;
    let built = br#"{"image": "repo@sha256:1"}"#;
    let files: [(&str, &[u8]); 5] = [
        ("stack.yml", b"Resources: {}"),
        ("first.bin", &noise[..4 << 20]),
        ("prod.json", settings),
        ("second.bin", &noise[4 << 20..]),
        ("build.json", built),
    ];
    let zip = write_zip(files).unwrap();
    assert!(zip.len() > 8 << 20);
    aws.object("store-eu/shop/App/abcdefghijklmnop", "v1", &zip);
    absent(&aws);
    takes(&aws, "CreateStack");
    let mut task = deploy(
        "CREATE_UPDATE",
        &[
            ("TemplatePath", "App::stack.yml"),
            ("TemplateConfiguration", "App::prod.json"),
            ("ParameterOverrides", r#"{"Image": {"Fn::GetParam": ["App", "build.json", "image"]}}"#),
        ],
    );
    task.inputs[0].pin.version = Some("v1".to_owned());
    runs(&aws, &task).await;
    let sent = sent(&aws, "CreateStack");
    assert_eq!(sent["TemplateBody"], "Resources: {}");
    let parameters: Vec<_> = (1..=2).map(|n| sent[&format!("Parameters.member.{n}.ParameterValue")].clone()).collect();
    assert_eq!(parameters, ["repo@sha256:1", "3"]);
    let fetched: Vec<u64> = aws
        .calls("GetObject")
        .iter()
        .map(|call| {
            assert_eq!(call.header("if-match"), "\"etag-v1\"");
            let (first, last) = call.header("range").strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            last.parse::<u64>().unwrap() + 1 - first.parse::<u64>().unwrap()
        })
        .collect();
    assert!(fetched.iter().sum::<u64>() <= 5 * (64 << 10), "of 8 MiB: {fetched:?}");
    assert_eq!(aws.calls("HeadObject").len(), 1, "three files, one look at the artifact");
}

#[tokio::test]
async fn a_long_template_goes_by_s3() {
    let aws = Aws::default();
    let long = format!("Description: {}", "x".repeat(60_000));
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &write_zip([("stack.yml", long.as_str())]).unwrap());
    absent(&aws);
    takes(&aws, "CreateStack");
    let task = deploy("CREATE_UPDATE", &[("TemplatePath", "App::stack.yml")]);
    runs(&aws, &task).await;
    let url = sent(&aws, "CreateStack")["TemplateURL"].clone();
    let key = url.strip_prefix("https://store-eu.s3.eu-west-1.amazonaws.com/").unwrap();
    assert_eq!(aws.stored(&format!("store-eu/{key}")).data, long.as_bytes());
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_is_said_before_anything_is_changed() {
    let aws = Aws::default();
    files(&aws);
    absent(&aws);
    let template = ("TemplatePath", "App::stack.yml");
    let long = format!(r#"{{"A": "{}"}}"#, "x".repeat(1_024));
    for (mode, configuration, expected) in [
        ("CREATE_UPDATE", vec![], "needs a value for TemplatePath"),
        ("CREATE_UPDATE", vec![("TemplatePath", "stack.yml")], "as Artifact::path"),
        ("CREATE_UPDATE", vec![("TemplatePath", "Other::stack.yml")], "no input artifact"),
        ("CREATE_UPDATE", vec![("TemplatePath", "App::none.yml")], "the zip has no file"),
        ("CREATE_UPDATE", vec![template, ("TemplateConfiguration", "App::bad.json")], "is not a JSON object"),
        ("CREATE_UPDATE", vec![template, ("ParameterOverrides", "[")], "is not a JSON object"),
        ("CREATE_UPDATE", vec![template, ("ParameterOverrides", long.as_str())], "it may have 1024"),
        (
            "CREATE_UPDATE",
            vec![template, ("ParameterOverrides", r#"{"A": {"Fn::GetArtifactAtt": ["App", "Size"]}}"#)],
            "an artifact has BucketName, ObjectKey and URL",
        ),
        (
            "CREATE_UPDATE",
            vec![template, ("ParameterOverrides", r#"{"A": {"Fn::GetParam": ["App", "build.json", "no"]}}"#)],
            "has no key \"no\"",
        ),
        ("CHANGE_SET_REPLACE", vec![template], "needs a value for ChangeSetName"),
        ("MERGE", vec![], "it can be CHANGE_SET_EXECUTE, "),
    ] {
        let error = failed(&registry(&aws), &deploy(mode, &configuration)).await;
        assert!(error.message.contains(expected), "{}", error.message);
    }
    let allowed = ["DescribeStacks", "DescribeChangeSet", "GetObject", "HeadObject", "AssumeRole"];
    assert!(aws.operations().iter().all(|it| allowed.contains(&it.as_str())), "{:?}", aws.operations());
}
