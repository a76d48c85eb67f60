//! The names and ARNs that the resources of a template get on the local stack. Source: CloudFormation template reference, 'Return
//! values' of each type.

use anyhow::{Context, Result, bail};
use local::{ACCOUNT, HOME};
use serde_json::Value;

use super::intrinsics::At;
use super::template::Template;

/// How resources of a type are called.
struct Naming {
    kind: &'static str,
    /// The property that names the resource; none: the name is made from stack and logical id.
    property: Option<&'static str>,
    /// With `{}` for the name; empty: it has none that can be known.
    arn: &'static str,
    /// Whether `Ref` gives the ARN, and not the name.
    ref_is_arn: bool,
}

const fn by_name(kind: &'static str, property: &'static str, arn: &'static str) -> Naming {
    Naming { kind, property: Some(property), arn, ref_is_arn: false }
}

const fn by_arn(kind: &'static str, property: &'static str, arn: &'static str) -> Naming {
    Naming { ref_is_arn: true, ..by_name(kind, property, arn) }
}

static NAMINGS: &[Naming] = &[
    by_arn("AWS::CodeConnections::Connection", "ConnectionName", "codeconnections:R:A:connection/{}"),
    by_arn("AWS::CodeStarConnections::Connection", "ConnectionName", "codestar-connections:R:A:connection/{}"),
    by_arn("AWS::ECS::Service", "ServiceName", "ecs:R:A:service/{}"),
    by_arn("AWS::SNS::Topic", "TopicName", "sns:R:A:{}"),
    by_arn("AWS::SecretsManager::Secret", "Name", "secretsmanager:R:A:secret:{}"),
    by_arn("AWS::Serverless::StateMachine", "Name", "states:R:A:stateMachine:{}"),
    by_arn("AWS::StepFunctions::StateMachine", "StateMachineName", "states:R:A:stateMachine:{}"),
    by_name("AWS::CodeBuild::Project", "Name", "codebuild:R:A:project/{}"),
    by_name("AWS::CodeCommit::Repository", "RepositoryName", "codecommit:R:A:{}"),
    by_name("AWS::CodeDeploy::Application", "ApplicationName", ""),
    by_name("AWS::CodeDeploy::DeploymentGroup", "DeploymentGroupName", ""),
    by_name("AWS::CodePipeline::Pipeline", "Name", "codepipeline:R:A:{}"),
    by_name("AWS::ECR::Repository", "RepositoryName", "ecr:R:A:repository/{}"),
    by_name("AWS::ECS::TaskDefinition", "Family", ""),
    by_name("AWS::ECS::Cluster", "ClusterName", "ecs:R:A:cluster/{}"),
    by_name("AWS::ElasticBeanstalk::Application", "ApplicationName", ""),
    by_name("AWS::ElasticBeanstalk::Environment", "EnvironmentName", ""),
    by_name("AWS::Events::Rule", "Name", "events:R:A:rule/{}"),
    by_name("AWS::IAM::Role", "RoleName", "iam::A:role/{}"),
    by_name("AWS::KMS::Alias", "AliasName", ""),
    by_name("AWS::Lambda::Function", "FunctionName", "lambda:R:A:function:{}"),
    by_name("AWS::Logs::LogGroup", "LogGroupName", "logs:R:A:log-group:{}:*"),
    by_name("AWS::S3::Bucket", "BucketName", "s3:::{}"),
    by_name("AWS::SSM::Parameter", "Name", ""),
    by_name("AWS::Serverless::Function", "FunctionName", "lambda:R:A:function:{}"),
    Naming { kind: "AWS::KMS::Key", property: None, arn: "kms:R:A:key/{}", ref_is_arn: false },
];

/// Longest name of a bucket.
const BUCKET_LENGTH: usize = 63;

fn naming(resource: &Value) -> Option<&'static Naming> {
    NAMINGS.iter().find(|it| resource["Type"] == it.kind)
}

impl Template {
    /// The name of a resource: the author's, or one made from the stack's name and the logical id.
    pub(super) fn physical(&self, logical: &str, at: &At) -> Result<String> {
        let resource = self.resource(logical).with_context(|| format!("{at}: there is no resource {logical}"))?;
        let property = naming(resource).and_then(|it| it.property);
        if let Some((name, value)) = property.and_then(|name| Some((name, resource["Properties"].get(name)?))) {
            let given = self.resolve(value, &at.to(&format!("Resources.{logical}.Properties.{name}"))?)?;
            if !given.is_null() {
                return Ok(super::template::text(&given));
            }
        }
        let name = format!("{}-{logical}", self.stack);
        if resource["Type"] != "AWS::S3::Bucket" {
            return Ok(name);
        }
        // The end tells resources apart.
        let name: Vec<_> = name.to_lowercase().chars().collect();
        let name: String = name[name.len().saturating_sub(BUCKET_LENGTH)..].iter().collect();
        Ok(name.trim_start_matches('-').to_owned())
    }

    fn arn(naming: &Naming, name: &str) -> Option<String> {
        let pattern = Some(naming.arn).filter(|it| !it.is_empty())?;
        let arn = pattern.replace(":R:", &format!(":{HOME}:")).replace(":A:", &format!(":{ACCOUNT}:"));
        Some(format!("arn:aws:{}", arn.replace("{}", name)))
    }

    /// What `Ref` gives for a resource.
    pub(super) fn reference(&self, logical: &str, at: &At) -> Result<String> {
        let name = self.physical(logical, at)?;
        let naming = self.resource(logical).and_then(naming).filter(|it| it.ref_is_arn);
        Ok(naming.and_then(|it| Self::arn(it, &name)).unwrap_or(name))
    }

    /// What `Fn::GetAtt` gives for a resource.
    pub(super) fn attribute(&self, logical: &str, attribute: &str, at: &At) -> Result<String> {
        let name = self.physical(logical, at)?;
        let naming = self.resource(logical).and_then(naming);
        let is_arn = attribute == "Arn" || matches!(attribute, "ConnectionArn" | "ServiceArn" | "TopicArn");
        let found = match (naming.map(|it| it.kind), attribute) {
            (Some(_), _) if is_arn => naming.and_then(|it| Self::arn(it, &name)),
            (Some("AWS::S3::Bucket"), "DomainName") => Some(format!("{name}.s3.amazonaws.com")),
            (Some("AWS::S3::Bucket"), "RegionalDomainName") => Some(format!("{name}.s3.{HOME}.amazonaws.com")),
            (Some("AWS::ECR::Repository"), "RepositoryUri") => {
                Some(format!("{ACCOUNT}.dkr.ecr.{HOME}.amazonaws.com/{name}"))
            }
            (Some("AWS::CodeCommit::Repository" | "AWS::ECS::Service"), "Name")
            | (Some("AWS::SNS::Topic"), "TopicName")
            | (Some("AWS::StepFunctions::StateMachine"), "Name") => Some(name),
            _ => None,
        };
        match found {
            Some(found) => Ok(found),
            None => bail!("{at}: Fn::GetAtt {logical}.{attribute} is known only where the stack stands"),
        }
    }
}
