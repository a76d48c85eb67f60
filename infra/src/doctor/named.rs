//! What an action names: whether it is there.

use providers::permission::Scope;

use super::bucket::{self, Wanted};
use super::finding::{Findings, Look};
use super::{Place, services};

/// Looks at what an action's configuration names. Names with variables in them are not known yet.
pub(super) async fn look(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let id = &scope.action.type_id;
    match (id.category.as_str(), id.provider.as_str()) {
        ("Source", "S3") => {
            if let Some(bucket) = named(scope, "S3Bucket") {
                let wanted = Wanted { region: scope.region, owner: None, needs_versions: true, encrypted: false };
                bucket::look(place, &format!("the source bucket {bucket}"), &bucket, wanted, findings).await;
            }
        }
        ("Deploy", "S3") => deploy_bucket(place, scope, findings).await,
        (_, "CodeBuild") => {
            if let Some(project) = named(scope, "ProjectName") {
                self::project(place, scope, &project, "aws codebuild create-project", findings).await;
            }
        }
        (_, "Commands" | "EKS" | "ECRBuildAndPublish" | "InspectorScan") => {
            if id.provider == "EKS" {
                services::cluster(place, scope, findings).await;
            }
            let network = ["VpcId", "ClusterName"].into_iter().find_map(|key| named(scope, key));
            let (project, mend) = match network.filter(|_| scope.value("Subnets").is_some()) {
                Some(network) => (format!("{}-{network}", scope.compute_project), "deploy infra/compute-vpc.yaml"),
                None => (scope.compute_project.to_owned(), "millrace deploy"),
            };
            self::project(place, scope, &project, mend, findings).await;
        }
        ("Invoke" | "Deploy", "Lambda") | (_, "LambdaInvoke") => function(place, scope, findings).await,
        ("Invoke", "StepFunctions") => state_machine(place, scope, findings).await,
        ("Source", "CodeCommit") => repository(place, scope, findings).await,
        ("Source", "ECR") => images(place, scope, findings).await,
        ("Source", "CodeStarSourceConnection") => secret(place, scope, findings).await,
        ("Deploy", "ECS") => service(place, scope, findings).await,
        ("Deploy", "CodeDeploy" | "CodeDeployToECS") => services::deployment_group(place, scope, findings).await,
        ("Deploy", "ElasticBeanstalk") => services::environment(place, scope, findings).await,
        ("Deploy", "AppConfig") => services::configuration(place, scope, findings).await,
        ("Deploy", "ServiceCatalog") => services::product(place, scope, findings).await,
        ("Test", "DeviceFarm") => services::devices(place, scope, findings).await,
        _ => {}
    }
}

/// A value without variables.
pub(super) fn named(scope: &Scope<'_>, key: &str) -> Option<String> {
    scope.value(key).filter(|value| !value.contains('*'))
}

/// What is said of something that must be there.
pub(super) fn must_exist<T>(what: &str, look: Look<T>, mend: &str, findings: &mut Findings) {
    match look {
        Look::Found(_) => findings.ok(format!("{what} exists")),
        Look::Missing => findings.error(format!("{what} does not exist"), mend),
        Look::Unknown => {}
    }
}

/// How findings call it.
pub(super) fn called(kind: &str, name: &str, scope: &Scope<'_>) -> String {
    format!("the {kind} {name} of the action {} in {}", scope.action.name, scope.region)
}

async fn deploy_bucket(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let Some(bucket) = named(scope, "BucketName") else { return };
    let what = called("bucket", &bucket, scope);
    let found = place.account.s3(scope.region).head_bucket().bucket(&bucket).send().await;
    let look = findings.look(&what, "s3:ListBucket", &scope.object(&bucket, ""), found);
    must_exist(&what, look, &format!("aws s3 mb s3://{bucket} --region {}", scope.region), findings);
}

async fn project(place: &Place<'_>, scope: &Scope<'_>, project: &str, mend: &str, findings: &mut Findings) {
    let client = aws_sdk_codebuild::Client::new(&place.account.sdk(scope.region));
    let what = called("project", project, scope);
    let found = client.batch_get_projects().names(project).send().await;
    let resource = scope.arn("codebuild", &format!("project/{project}"));
    let look = match findings.look(&what, "codebuild:BatchGetProjects", &resource, found) {
        Look::Found(found) if found.projects().is_empty() => Look::Missing,
        look => look,
    };
    must_exist(&what, look, mend, findings);
}

async fn function(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let Some(function) = named(scope, "FunctionName") else { return };
    let client = aws_sdk_lambda::Client::new(&place.account.sdk(scope.region));
    let what = called("function", &function, scope);
    let found = client.get_function_configuration().function_name(&function).send().await;
    let look = findings.look(
        &what,
        "lambda:GetFunctionConfiguration",
        &scope.named("FunctionName", "lambda", "function:"),
        found,
    );
    must_exist(&what, look, "aws lambda create-function, or name another in FunctionName", findings);
}

async fn state_machine(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let Some(machine) = named(scope, "StateMachineArn") else { return };
    let client = aws_sdk_sfn::Client::new(&place.account.sdk(scope.region));
    let what = called("state machine", &machine, scope);
    let found = client.describe_state_machine().state_machine_arn(&machine).send().await;
    let look = findings.look(&what, "states:DescribeStateMachine", &machine, found);
    must_exist(&what, look, "aws stepfunctions create-state-machine, or name another in StateMachineArn", findings);
}

async fn repository(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let Some(repository) = named(scope, "RepositoryName") else { return };
    let client = aws_sdk_codecommit::Client::new(&place.account.sdk(scope.region));
    let what = called("repository", &repository, scope);
    let Some(branch) = named(scope, "BranchName") else { return };
    let found = client.get_branch().repository_name(&repository).branch_name(&branch).send().await;
    let look = findings.look(&what, "codecommit:GetBranch", &scope.arn("codecommit", &repository), found);
    must_exist(
        &format!("the branch {branch} of {what}"),
        look,
        "push the branch, or name another repository",
        findings,
    );
}

async fn images(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let Some(repository) = named(scope, "RepositoryName") else { return };
    let client = aws_sdk_ecr::Client::new(&place.account.sdk(scope.region));
    let what = called("repository", &repository, scope);
    let found = client.describe_repositories().repository_names(&repository).send().await;
    let resource = scope.arn("ecr", &format!("repository/{repository}"));
    let look = findings.look(&what, "ecr:DescribeRepositories", &resource, found);
    let mend = format!("aws ecr create-repository --repository-name {repository} --region {}", scope.region);
    must_exist(&what, look, &mend, findings);
}

async fn secret(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let Some(connection) = named(scope, "ConnectionArn") else { return };
    let id = connection.rsplit('/').next().unwrap_or(&connection);
    let name = format!("{}{id}", scope.connection_secrets);
    let client = aws_sdk_secretsmanager::Client::new(&place.account.sdk(scope.region));
    let what = called("secret", &name, scope);
    let found = client.describe_secret().secret_id(&name).send().await;
    let resource = scope.arn("secretsmanager", &format!("secret:{name}-??????"));
    let look = findings.look(&what, "secretsmanager:DescribeSecret", &resource, found);
    let mend = format!(
        "aws secretsmanager create-secret --name {name} --secret-string '{{\"token\": \"...\"}}' --region {}",
        scope.region
    );
    must_exist(&what, look, &mend, findings);
}

async fn service(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let (Some(cluster), Some(service)) = (named(scope, "ClusterName"), named(scope, "ServiceName")) else { return };
    let client = aws_sdk_ecs::Client::new(&place.account.sdk(scope.region));
    let what = called("service", &format!("{cluster}/{service}"), scope);
    let found = client.describe_services().cluster(&cluster).services(&service).send().await;
    let look = match findings.look(&what, "ecs:DescribeServices", "*", found) {
        Look::Found(found) if found.services().is_empty() => Look::Missing,
        look => look,
    };
    must_exist(&what, look, "aws ecs create-service, or name another in ServiceName", findings);
}
