//! Where a person looks at what an action did: pages of the AWS console.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline::Action;

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// Behind `#` colons may stay, which keeps ARNs readable.
const FRAGMENT: &AsciiSet = &QUERY.remove(b':');

/// The address of a region's console.
pub(crate) fn host(region: &str) -> String {
    let domain = match runtime::arn::partition(region) {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    format!("https://{region}.{domain}")
}

/// The page of the bucket, function or the like that an action's configuration names; none where it names nothing that
/// has a page, or names it by variables.
pub fn entity_page(action: &Action, home: &str) -> Option<String> {
    let page = crate::find(action)?.entity?;
    let region = action.region.as_ref().map_or(home, |region| region.as_str());
    let name = action.configuration.get(page.key)?;
    // Names and ARNs have no other characters, so nothing needs an escape.
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.:/".contains(character);
    let plain = !name.is_empty() && name.chars().all(plain);
    plain.then(|| format!("{}/{}", host(region), page.path.replace("{region}", region).replace("{}", name)))
}

/// An object, or one version of it.
pub(crate) fn s3_object(region: &str, bucket: &str, key: &str, version: Option<&str>) -> String {
    let key = utf8_percent_encode(key, QUERY);
    let page = format!("{}/s3/object/{bucket}?region={region}&prefix={key}", host(region));
    match version {
        Some(version) => format!("{page}&versionId={}", utf8_percent_encode(version, QUERY)),
        None => page,
    }
}

/// What lies in a bucket under a prefix.
pub(crate) fn s3_folder(region: &str, bucket: &str, prefix: &str) -> String {
    format!("{}/s3/buckets/{bucket}?region={region}&prefix={}", host(region), utf8_percent_encode(prefix, QUERY))
}

/// An execution of a state machine.
pub(crate) fn step_functions(region: &str, execution_arn: &str) -> String {
    let arn = utf8_percent_encode(execution_arn, FRAGMENT);
    format!("{}/states/home?region={region}#/v2/executions/details/{arn}", host(region))
}

/// A stack, by its id.
pub(crate) fn cloudformation_stack(region: &str, id: &str) -> String {
    let stack = utf8_percent_encode(id, QUERY);
    format!("{}/cloudformation/home?region={region}#/stacks/events?stackId={stack}", host(region))
}

/// The deployments of an ECS service.
pub(crate) fn ecs_service(region: &str, cluster: &str, service: &str) -> String {
    let (cluster, service) = (utf8_percent_encode(cluster, QUERY), utf8_percent_encode(service, QUERY));
    format!("{}/ecs/v2/clusters/{cluster}/services/{service}/deployments?region={region}", host(region))
}

/// An operation of a stack set.
pub(crate) fn stack_set_operation(region: &str, stack_set: &str, operation: &str) -> String {
    let (stack_set, operation) = (utf8_percent_encode(stack_set, QUERY), utf8_percent_encode(operation, QUERY));
    format!("{}/cloudformation/home?region={region}#/stacksets/{stack_set}/operations/{operation}", host(region))
}

/// An environment of Elastic Beanstalk.
pub(crate) fn beanstalk_environment(region: &str, application: &str, environment: &str) -> String {
    let (application, environment) = (utf8_percent_encode(application, QUERY), utf8_percent_encode(environment, QUERY));
    let page = format!("applicationName={application}&environmentName={environment}");
    format!("{}/elasticbeanstalk/home?region={region}#/environment/dashboard?{page}", host(region))
}

/// A commit of a CodeCommit repository.
pub(crate) fn codecommit(region: &str, repository: &str, commit: &str) -> String {
    format!("{}/codesuite/codecommit/repositories/{repository}/commit/{commit}?region={region}", host(region))
}

/// A build of CodeBuild, or a batch of builds, by its ARN.
pub(crate) fn codebuild(region: &str, arn: &str) -> String {
    let account = arn.split(':').nth(4).unwrap_or_default();
    let (kind, id) = match arn.split_once(":build-batch/") {
        Some((_, id)) => ("batch", id),
        None => ("build", arn.split_once(":build/").map_or(arn, |(_, id)| id)),
    };
    let project = id.split(':').next().unwrap_or(id);
    let id = utf8_percent_encode(id, QUERY);
    format!("{}/codesuite/codebuild/{account}/projects/{project}/{kind}/{id}/?region={region}", host(region))
}

/// A deployment of CodeDeploy, by its id.
pub(crate) fn codedeploy(region: &str, id: &str) -> String {
    format!("{}/codesuite/codedeploy/deployments/{}?region={region}", host(region), utf8_percent_encode(id, QUERY))
}

/// An environment of AppConfig.
pub(crate) fn appconfig_environment(region: &str, application: &str, environment: &str) -> String {
    let (application, environment) = (utf8_percent_encode(application, QUERY), utf8_percent_encode(environment, QUERY));
    let page = format!("applications/{application}/environments/{environment}?region={region}");
    format!("{}/systems-manager/appconfig/{page}", host(region))
}

/// A command of Systems Manager, by its id.
pub(crate) fn run_command(region: &str, id: &str) -> String {
    format!("{}/systems-manager/run-command/{}?region={region}", host(region), utf8_percent_encode(id, QUERY))
}

/// A product of Service Catalog, as its administrators see it.
pub(crate) fn service_catalog_product(region: &str, product: &str) -> String {
    let product = utf8_percent_encode(product, QUERY);
    format!("{}/servicecatalog/home?region={region}#admin-products/{product}", host(region))
}

/// A run of Device Farm, by the ids of its project and its own.
pub(crate) fn device_farm_run(region: &str, project: &str, run: &str) -> String {
    let (project, run) = (utf8_percent_encode(project, QUERY), utf8_percent_encode(run, QUERY));
    format!("{}/devicefarm/home?region={region}#/projects/{project}/runs/{run}", host(region))
}

/// An alarm of CloudWatch, by its name.
pub(crate) fn cloudwatch_alarm(region: &str, name: &str) -> String {
    let name = utf8_percent_encode(name, QUERY);
    format!("{}/cloudwatch/home?region={region}#alarmsV2:alarm/{name}", host(region))
}

/// A published version of a function.
pub(crate) fn lambda_version(region: &str, function: &str, version: &str) -> String {
    let (function, version) = (utf8_percent_encode(function, QUERY), utf8_percent_encode(version, QUERY));
    format!("{}/lambda/home?region={region}#/functions/{function}/versions/{version}", host(region))
}

/// A function's log. `function`: its name without version or alias.
pub(crate) fn lambda_log(region: &str, function: &str) -> String {
    let group = utf8_percent_encode(function, QUERY);
    format!("{}/cloudwatch/home?region={region}#logStream:group=/aws/lambda/{group}", host(region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_fit_their_partition() {
        assert_eq!(
            s3_object("eu-west-1", "src", "a b/ü.zip", Some("v.1+")),
            "https://eu-west-1.console.aws.amazon.com/s3/object/src?region=eu-west-1&prefix=a%20b/%C3%BC.zip&versionId=v.1%2B"
        );
        assert!(s3_folder("cn-north-1", "b", "").starts_with("https://cn-north-1.console.amazonaws.cn/s3/buckets/b?"));
        assert!(s3_folder("us-gov-west-1", "b", "").starts_with("https://us-gov-west-1.console.amazonaws-us-gov.com/"));
    }
}
