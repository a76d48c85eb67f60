//! What actions name at services of deployments and tests: whether it is there.

use providers::permission::Scope;

use super::Place;
use super::finding::{Findings, Look};
use super::named::{called, must_exist, named};

/// The group of a CodeDeploy action, on instances or on ECS.
pub(super) async fn deployment_group(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let (Some(application), Some(group)) = (named(scope, "ApplicationName"), named(scope, "DeploymentGroupName"))
    else {
        return;
    };
    let client = aws_sdk_codedeploy::Client::new(&place.account.sdk(scope.region));
    let what = called("deployment group", &format!("{application}/{group}"), scope);
    let found = client.get_deployment_group().application_name(&application).deployment_group_name(&group).send().await;
    let resource = scope.arn("codedeploy", &format!("deploymentgroup:{application}/{group}"));
    let look = findings.look(&what, "codedeploy:GetDeploymentGroup", &resource, found);
    let mend = format!(
        "aws deploy create-deployment-group --application-name {application} --deployment-group-name {group} \
         --service-role-arn ROLE --region {}, after aws deploy create-application if there is none of that name",
        scope.region
    );
    must_exist(&what, look, &mend, findings);
}

/// An environment of Elastic Beanstalk.
pub(super) async fn environment(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let (Some(application), Some(environment)) = (named(scope, "ApplicationName"), named(scope, "EnvironmentName"))
    else {
        return;
    };
    let client = aws_sdk_elasticbeanstalk::Client::new(&place.account.sdk(scope.region));
    let what = called("environment", &format!("{application}/{environment}"), scope);
    let describe = client.describe_environments().application_name(&application).environment_names(&environment);
    let found = describe.include_deleted(false).send().await;
    let resource = scope.arn("elasticbeanstalk", &format!("environment/{application}/{environment}"));
    let look = match findings.look(&what, "elasticbeanstalk:DescribeEnvironments", &resource, found) {
        Look::Found(found) if found.environments().is_empty() => Look::Missing,
        look => look,
    };
    let mend = format!(
        "aws elasticbeanstalk create-environment --application-name {application} --environment-name {environment} \
         --region {}, or name another in EnvironmentName",
        scope.region
    );
    must_exist(&what, look, &mend, findings);
}

/// The environment, the profile and the strategy of an AppConfig action.
pub(super) async fn configuration(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let client = aws_sdk_appconfig::Client::new(&place.account.sdk(scope.region));
    if let Some(strategy) = named(scope, "DeploymentStrategy") {
        let what = called("deployment strategy", &strategy, scope);
        let found = client.get_deployment_strategy().deployment_strategy_id(&strategy).send().await;
        let resource = scope.arn("appconfig", &format!("deploymentstrategy/{strategy}"));
        let look = findings.look(&what, "appconfig:GetDeploymentStrategy", &resource, found);
        must_exist(&what, look, "aws appconfig create-deployment-strategy, and name its id", findings);
    }
    let Some(application) = named(scope, "Application") else { return };
    if let Some(environment) = named(scope, "Environment") {
        let what = called("environment", &format!("{application}/{environment}"), scope);
        let found = client.get_environment().application_id(&application).environment_id(&environment).send().await;
        let resource = scope.arn("appconfig", &format!("application/{application}/environment/{environment}"));
        let look = findings.look(&what, "appconfig:GetEnvironment", &resource, found);
        must_exist(&what, look, "aws appconfig create-environment, and name its id in Environment", findings);
    }
    if let Some(profile) = named(scope, "ConfigurationProfile") {
        let what = called("configuration profile", &format!("{application}/{profile}"), scope);
        let get = client.get_configuration_profile().application_id(&application).configuration_profile_id(&profile);
        let resource = scope.arn("appconfig", &format!("application/{application}/configurationprofile/{profile}"));
        let look = findings.look(&what, "appconfig:GetConfigurationProfile", &resource, get.send().await);
        let mend = "aws appconfig create-configuration-profile --location-uri hosted, and name its id in \
                    ConfigurationProfile";
        must_exist(&what, look, mend, findings);
    }
}

/// The cluster of an EKS action.
pub(super) async fn cluster(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let Some(cluster) = named(scope, "ClusterName") else { return };
    let client = aws_sdk_eks::Client::new(&place.account.sdk(scope.region));
    let what = called("cluster", &cluster, scope);
    let found = client.describe_cluster().name(&cluster).send().await;
    let look = findings.look(&what, "eks:DescribeCluster", &scope.named("ClusterName", "eks", "cluster/"), found);
    let mend =
        format!("aws eks create-cluster --name {cluster} --region {}, or name another in ClusterName", scope.region);
    must_exist(&what, look, &mend, findings);
}

/// The product of a Service Catalog action.
pub(super) async fn product(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let Some(product) = named(scope, "ProductId") else { return };
    let client = aws_sdk_servicecatalog::Client::new(&place.account.sdk(scope.region));
    let what = called("product", &product, scope);
    let found = client.describe_product_as_admin().id(&product).send().await;
    let resource = scope.arn("catalog", &format!("product/{product}"));
    let look = findings.look(&what, "servicecatalog:DescribeProductAsAdmin", &resource, found);
    must_exist(&what, look, "aws servicecatalog create-product, and name its id in ProductId", findings);
}

/// The project and the device pool of a Device Farm action.
pub(super) async fn devices(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let client = aws_sdk_devicefarm::Client::new(&place.account.sdk(scope.region));
    if let Some(project) = named(scope, "ProjectId") {
        let what = called("project", &project, scope);
        let arn = scope.arn("devicefarm", &format!("project:{project}"));
        let look = findings.look(&what, "devicefarm:GetProject", &arn, client.get_project().arn(&arn).send().await);
        let mend = "aws devicefarm create-project --region us-west-2, and put the last part of its ARN into ProjectId";
        must_exist(&what, look, mend, findings);
    }
    if let Some(pool) = named(scope, "DevicePoolArn") {
        let what = called("device pool", &pool, scope);
        let look =
            findings.look(&what, "devicefarm:GetDevicePool", &pool, client.get_device_pool().arn(&pool).send().await);
        let mend =
            "aws devicefarm list-device-pools --arn PROJECT --region us-west-2, and name one of them in DevicePoolArn";
        must_exist(&what, look, mend, findings);
    }
}
