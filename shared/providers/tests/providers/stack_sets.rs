use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use testkit::Aws;

use crate::{failed, input, put_off, registry, task};

const PARAMETERS: &str = "ParameterKey=Size,ParameterValue=3 ParameterKey=Name,UsePreviousValue=true";

fn stack_set(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("StackSetName", "base"), ("TemplatePath", "App::base.yml")];
    all.extend(configuration);
    Task { inputs: vec![input("App")], ..task("Deploy", "CloudFormationStackSet", &all) }
}

fn stack_instances(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("StackSetName", "base")];
    all.extend(configuration);
    Task { inputs: vec![input("App")], ..task("Deploy", "CloudFormationStackInstances", &all) }
}

const IN_TWO: [(&str, &str); 2] =
    [("DeploymentTargets", "111122223333,444455556666"), ("Regions", "eu-west-1, us-east-1")];

fn operation(task: &Task) -> String {
    format!("Millrace-{}", task.id)
}

fn answers(aws: &Aws, operation: &str, body: &str) {
    let answer = format!("<{operation}Response><{operation}Result>{body}</{operation}Result></{operation}Response>");
    aws.on(operation, 200, answer);
}

fn refuses(aws: &Aws, operation: &str, code: &str) {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>");
    aws.on(operation, 400, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"));
}

/// A stack set with instances of these accounts and regions.
fn exists(aws: &Aws, instances: &[(&str, &str)]) {
    let set = "<StackSet><StackSetName>base</StackSetName><Description>old</Description></StackSet>";
    answers(aws, "DescribeStackSet", set);
    let instance = |(account, region): &(&str, &str)| {
        format!("<member><Account>{account}</Account><Region>{region}</Region></member>")
    };
    let instances: String = instances.iter().map(instance).collect();
    answers(aws, "ListStackInstances", &format!("<Summaries>{instances}</Summaries>"));
}

fn aws() -> Aws {
    let aws = Aws::default();
    let zip = write_zip([
        ("base.yml", "Resources: {}"),
        ("accounts.txt", "111122223333, 444455556666\n"),
        ("accounts.json", r#"["111122223333", "444455556666"]"#),
        ("parameters.json", r#"[{"ParameterKey": "Size", "ParameterValue": "3"}]"#),
        ("wrong.json", r#"[{"Key": "Size"}]"#),
    ]);
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &zip.unwrap());
    refuses(&aws, "DescribeStackSet", "StackSetNotFoundException");
    answers(&aws, "CreateStackSet", "<StackSetId>base:1</StackSetId>");
    for operation in ["CreateStackInstances", "UpdateStackInstances", "UpdateStackSet"] {
        answers(&aws, operation, "<OperationId>1</OperationId>");
    }
    aws
}

/// The id of the operation that the start of a task begins.
async fn begins(aws: &Aws, task: &Task) -> String {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, .. } => report.external.unwrap().id,
        other => panic!("{other:?}"),
    }
}

/// Checks the last request of an operation for these values, as the query protocol has them.
fn sent(aws: &Aws, operation: &str, values: &[&str]) {
    let body = aws.calls(operation).last().unwrap().text();
    let pairs: Vec<&str> = body.split('&').collect();
    for value in values {
        assert!(pairs.contains(value), "{value}: {body}");
    }
}

fn progresses(aws: &Aws, status: &str, results: &[(&str, &str, &str)]) {
    let operation =
        format!("<StackSetOperation><Status>{status}</Status><StackSetId>base:1</StackSetId></StackSetOperation>");
    answers(aws, "DescribeStackSetOperation", &operation);
    let result = |(account, status, reason): &(&str, &str, &str)| {
        format!(
            "<member><Account>{account}</Account><Region>eu-west-1</Region><Status>{status}</Status>\
             <StatusReason>{reason}</StatusReason></member>"
        )
    };
    let results: String = results.iter().map(result).collect();
    answers(aws, "ListStackSetOperationResults", &format!("<Summaries>{results}</Summaries>"));
}

fn begun(task: Task, operation: &str) -> Task {
    Task { external: Some(External { id: operation.to_owned(), url: None }), ..task }
}

#[tokio::test]
async fn a_stack_set_that_does_not_exist_is_created_with_its_instances() {
    let aws = aws();
    let mut configuration = IN_TWO.to_vec();
    configuration.extend([
        ("Parameters", PARAMETERS),
        ("Capabilities", "CAPABILITY_IAM,CAPABILITY_AUTO_EXPAND"),
        ("AdministrationRoleArn", "arn:aws:iam::111122223333:role/admin"),
        ("ExecutionRoleName", "exec"),
        ("FailureTolerancePercentage", "20"),
        ("MaxConcurrentPercentage", "50"),
        ("Description", "All"),
    ]);
    let task = stack_set(&configuration);
    assert_eq!(begins(&aws, &task).await, operation(&task));
    let token = format!("ClientRequestToken={}", operation(&task));
    sent(
        &aws,
        "CreateStackSet",
        &[
            "StackSetName=base",
            "Description=All",
            "TemplateBody=Resources%3A%20%7B%7D",
            "Parameters.member.1.ParameterKey=Size",
            "Parameters.member.1.ParameterValue=3",
            "Parameters.member.2.UsePreviousValue=true",
            "Capabilities.member.2=CAPABILITY_AUTO_EXPAND",
            "PermissionModel=SELF_MANAGED",
            "ExecutionRoleName=exec",
            &token,
        ],
    );
    let id = format!("OperationId={}", operation(&task));
    sent(
        &aws,
        "CreateStackInstances",
        &[
            "Accounts.member.2=444455556666",
            "Regions.member.1=eu-west-1",
            "Regions.member.2=us-east-1",
            "OperationPreferences.FailureTolerancePercentage=20",
            "OperationPreferences.MaxConcurrentPercentage=50",
            &id,
        ],
    );
    assert_eq!(aws.calls("CreateStackSet")[0].role, "pipeline");
}

#[tokio::test]
async fn one_that_exists_gets_the_instances_that_it_lacks_before_it_is_updated() {
    let (aws, task) = (aws(), stack_set(&IN_TWO));
    exists(&aws, &[("111122223333", "eu-west-1"), ("111122223333", "us-east-1"), ("444455556666", "eu-west-1")]);
    let first = begins(&aws, &task).await;
    assert_eq!(first, format!("{}-instances", operation(&task)));
    assert!(aws.calls("UpdateStackSet").is_empty());
    progresses(&aws, "SUCCEEDED", &[]);
    let Outcome::Continue { token, .. } = registry(&aws).poll(&begun(task.clone(), &first)).await.unwrap() else {
        panic!()
    };
    let second = Task { continuation: Some(token), ..task.clone() };
    assert_eq!(begins(&aws, &second).await, operation(&task));
    let id = format!("OperationId={}", operation(&task));
    sent(&aws, "UpdateStackSet", &["Description=old", "TemplateBody=Resources%3A%20%7B%7D", &id]);
    assert_eq!(aws.calls("CreateStackInstances").len(), 1);
}

#[tokio::test]
async fn one_that_lacks_none_is_updated_at_once() {
    for (configuration, expected) in [
        (IN_TWO.to_vec(), "Accounts.member.1=111122223333"),
        (vec![("DeploymentTargets", "App::accounts.txt"), ("Regions", "eu-west-1")], "Accounts.member.2=444455556666"),
        (vec![("DeploymentTargets", "App::accounts.json"), ("Regions", "eu-west-1")], "Accounts.member.2=444455556666"),
        (
            vec![("DeploymentTargets", "ou-ab12,r-ab12"), ("Regions", "eu-west-1")],
            "DeploymentTargets.OrganizationalUnitIds.member.2=r-ab12",
        ),
        (vec![("Parameters", "App::parameters.json")], "Parameters.member.1.ParameterValue=3"),
    ] {
        let (aws, task) = (aws(), stack_set(&configuration));
        let accounts = ["111122223333", "444455556666"];
        let all = accounts.map(|account| [(account, "eu-west-1"), (account, "us-east-1")]);
        exists(&aws, &all.concat());
        assert_eq!(begins(&aws, &task).await, operation(&task));
        assert!(aws.calls("CreateStackInstances").is_empty());
        sent(&aws, "UpdateStackSet", &[expected]);
    }
}

#[tokio::test]
async fn service_managed_sets_may_deploy_to_new_accounts_by_themselves() {
    for (chosen, expected) in [
        ("Enabled", vec!["AutoDeployment.Enabled=true", "AutoDeployment.RetainStacksOnAccountRemoval=false"]),
        (
            "EnabledWithStackRetention",
            vec!["AutoDeployment.Enabled=true", "AutoDeployment.RetainStacksOnAccountRemoval=true"],
        ),
        ("Disabled", vec!["AutoDeployment.Enabled=false"]),
    ] {
        let aws = aws();
        let configuration = [
            ("PermissionModel", "SERVICE_MANAGED"),
            ("OrganizationsAutoDeployment", chosen),
            ("DeploymentTargets", "ou-ab12"),
            ("Regions", "eu-west-1"),
        ];
        begins(&aws, &stack_set(&configuration)).await;
        sent(&aws, "CreateStackSet", &["PermissionModel=SERVICE_MANAGED"]);
        sent(&aws, "CreateStackSet", &expected);
        sent(&aws, "CreateStackInstances", &["DeploymentTargets.OrganizationalUnitIds.member.1=ou-ab12"]);
    }
}

#[tokio::test]
async fn a_set_may_be_created_without_instances() {
    let aws = aws();
    let Outcome::Succeeded(done) = registry(&aws).start(&stack_set(&[])).await.unwrap() else { panic!() };
    assert_eq!(done.variables, [("StackSetId".to_owned(), "base".to_owned())].into());
    assert!(aws.calls("CreateStackInstances").is_empty());
}

#[tokio::test]
async fn instances_are_created_or_updated_with_parameters_of_their_own() {
    let mut configuration = IN_TWO.to_vec();
    configuration.push(("ParameterOverrides", PARAMETERS));
    let task = stack_instances(&configuration);
    let aws = aws();
    exists(&aws, &[]);
    assert_eq!(begins(&aws, &task).await, operation(&task));
    let size = ["ParameterOverrides.member.1.ParameterKey=Size", "ParameterOverrides.member.1.ParameterValue=3"];
    sent(&aws, "CreateStackInstances", &size);
    let accounts = ["111122223333", "444455556666"];
    exists(&aws, &accounts.map(|account| [(account, "eu-west-1"), (account, "us-east-1")]).concat());
    assert_eq!(begins(&aws, &task).await, operation(&task));
    sent(&aws, "UpdateStackInstances", &size);
    assert_eq!(aws.calls("CreateStackInstances").len(), 1);
}

#[tokio::test]
async fn the_action_ends_with_its_operation_and_tells_how_many_instances_are_done() {
    let task = stack_set(&IN_TWO);
    let id = operation(&task);
    let (aws, task) = (aws(), begun(task, &id));
    progresses(&aws, "RUNNING", &[("111122223333", "SUCCEEDED", ""), ("444455556666", "PENDING", "")]);
    let Outcome::Running { report, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(report.summary.as_deref(), Some("1 of 2 instances are done"));
    progresses(&aws, "SUCCEEDED", &[("111122223333", "SUCCEEDED", "")]);
    let Outcome::Succeeded(done) = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    let variables = [("OperationId".to_owned(), id.clone()), ("StackSetId".to_owned(), "base:1".to_owned())];
    assert_eq!(done.variables, variables.into());
    let url = done.report.external.unwrap().url.unwrap();
    assert!(url.ends_with(&format!("#/stacksets/base/operations/{id}")), "{url}");
    progresses(
        &aws,
        "FAILED",
        &[("111122223333", "SUCCEEDED", ""), ("444455556666", "FAILED", "Account 444455556666 has no role exec")],
    );
    let Outcome::Failed { error, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(
        error.message,
        format!(
            "The operation {id} of the stack set base is FAILED (1 of 2 instances are done)\n444455556666 in eu-west-1: \
             Account 444455556666 has no role exec"
        )
    );
}

#[tokio::test]
async fn what_a_lost_worker_began_is_found_and_who_comes_second_waits() {
    let task = stack_set(&[]);
    let aws = aws();
    exists(&aws, &[]);
    refuses(&aws, "UpdateStackSet", "OperationIdAlreadyExistsException");
    assert_eq!(begins(&aws, &task).await, operation(&task));
    refuses(&aws, "UpdateStackSet", "OperationInProgressException");
    put_off(&registry(&aws), &task).await;
    refuses(&aws, "UpdateStackSet", "InvalidOperationException");
    assert_eq!(failed(&registry(&aws), &task).await.code, "ConfigurationError");
    refuses(&aws, "UpdateStackSet", "AccessDenied");
    assert_eq!(failed(&registry(&aws), &task).await.code, "PermissionError");
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_is_said_before_anything_changes() {
    for (configuration, expected) in [
        (vec![("DeploymentTargets", "111122223333")], "needs a value for Regions"),
        (vec![("Regions", "eu-west-1")], "needs a value for DeploymentTargets"),
        (
            vec![("DeploymentTargets", "111122223333,ou-a"), ("Regions", "eu-west-1")],
            "it must be a list of account ids",
        ),
        (vec![("Parameters", "Size=3")], "it must be ParameterKey=K,ParameterValue=V"),
        (vec![("Parameters", "App::wrong.json")], "unknown field `Key`"),
        (vec![("PermissionModel", "BOTH")], "it can be SELF_MANAGED or SERVICE_MANAGED"),
        (vec![("MaxConcurrentPercentage", "101")], "it must be at most 100"),
        (vec![("OrganizationsAutoDeployment", "Yes")], "it can be Enabled, Disabled or EnabledWithStackRetention"),
    ] {
        let aws = aws();
        let error = failed(&registry(&aws), &stack_set(&configuration)).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(expected), "{}", error.message);
        assert!(aws.calls("CreateStackSet").is_empty());
    }
    let error = failed(&registry(&aws()), &stack_instances(&[])).await;
    assert!(error.message.contains("needs a value for DeploymentTargets"), "{}", error.message);
}
