//! The job worker that is every stand-in: it checks what it can of the request, and answers success.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionOwner, ActionTypeId, Artifact, CurrentRevision, ExecutionDetails, FailureDetails,
    FailureType, Job, JobData,
};
use aws_sdk_s3::types::ServerSideEncryption;
use local::{ACCOUNT, HOME, Stack};
use pipeline::catalogue::{self, OutputVariables};
use pipeline::declaration::ActionDeclaration;
use pipeline::{Declaration, TypeId, variables};
use zip::{ZipArchive, ZipWriter};

use super::definition::Definition;
use super::here::value;
use super::plan::{Plan, StandIn};
use super::source::{Source, zip_of};

/// What stands where only the provider knows the value.
const UNKNOWN: &str = "stand-in";

/// The job worker that answers the jobs of a run's stand-ins.
pub(super) struct Worker<'a> {
    pub stack: &'a Stack,
    pub authored: &'a Definition,
    pub definition: &'a Declaration,
    pub plan: &'a Plan,
    pub source: &'a Source,
}

type Configuration = BTreeMap<String, String>;

/// What has become of a job.
enum Done {
    /// With the output variables.
    Right(Configuration),
    /// What is wrong with the request.
    Wrong(String),
    /// The pipeline is another one from now on.
    Changed(Box<Definition>),
}

impl Worker<'_> {
    /// Does the jobs of this type that wait. Answers what the pipeline becomes by one of them.
    pub(super) async fn work(&self, type_id: &TypeId) -> Result<Option<Box<Definition>>> {
        let client = self.stack.codepipeline();
        let id = ActionTypeId::builder()
            .category(ActionCategory::from(type_id.category.as_str()))
            .owner(ActionOwner::Custom)
            .provider(&type_id.provider)
            .version(type_id.version.clone().unwrap_or_default());
        let polled = client.poll_for_jobs().action_type_id(id.build()?).max_batch_size(10).send().await;
        for job in polled.context("cannot poll for the stand-ins' jobs")?.jobs() {
            let id = job.id().unwrap_or_default();
            let acknowledged = client.acknowledge_job().job_id(id).nonce(job.nonce().unwrap_or_default()).send().await;
            acknowledged.context("cannot acknowledge a stand-in's job")?;
            match self.done(job).await? {
                Done::Changed(new) => return Ok(Some(new)),
                Done::Right(variables) => {
                    let details = ExecutionDetails::builder().summary("A stand-in has checked the request");
                    let mut success = client.put_job_success_result().job_id(id).execution_details(details.build());
                    if type_id.category == "Source" {
                        let commit = self.source.commit();
                        let revision = CurrentRevision::builder().revision(&commit).change_identifier(&commit);
                        success = success.current_revision(revision.build()?);
                    }
                    success = success.set_output_variables(Some(variables.into_iter().collect()));
                    success.send().await.context("cannot report a stand-in's success")?;
                }
                Done::Wrong(why) => {
                    let details = FailureDetails::builder().r#type(FailureType::ConfigurationError).message(why);
                    let failure = client.put_job_failure_result().job_id(id).failure_details(details.build()?);
                    failure.send().await.context("cannot report a stand-in's failure")?;
                }
            }
        }
        Ok(None)
    }

    async fn done(&self, job: &Job) -> Result<Done> {
        let data = job.data().context("a job without data")?;
        let context = data.pipeline_context().context("a job without its pipeline")?;
        let stage = context.stage().and_then(|it| it.name()).unwrap_or_default().to_owned();
        let name = context.action().and_then(|it| it.name()).unwrap_or_default().to_owned();
        let stand_in = self.plan.stand_ins.get(&(stage, name)).context("a job of another pipeline")?;
        let mut configuration = stand_in.action.configuration.clone().unwrap_or_default();
        let resolved = data.action_configuration().and_then(|it| it.configuration());
        configuration.extend(resolved.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));

        let mut files = BTreeMap::new();
        let mut first = None;
        for input in data.input_artifacts() {
            let content = self.read(input).await?;
            let name = input.name().unwrap_or_default();
            if self.plan.true_artifacts.contains(name) {
                match file_names(&content) {
                    Ok(names) => files.insert(name.to_owned(), names),
                    Err(_) => return Ok(Done::Wrong(format!("the input artifact {name} is no zip"))),
                };
            }
            first.get_or_insert(content);
        }
        if let Err(why) = check(&stand_in.action, &configuration, &files) {
            return Ok(Done::Wrong(why));
        }
        if let (true, Some(synthesised)) = (stand_in.changes_pipeline, &first) {
            match self.changed(synthesised) {
                Ok(None) => {}
                Ok(Some(new)) => return Ok(Done::Changed(Box::new(new))),
                Err(why) => return Ok(Done::Wrong(format!("{why:#}"))),
            }
        }
        let content = match stand_in.action.action_type_id.category.as_str() {
            "Source" if stand_in.action.action_type_id.provider == "ECR" => {
                image_detail(&stand_in.action, self.source)?
            }
            "Source" => self.source.zip.clone(),
            // The next actions need something to read, and what went in is the nearest.
            _ => {
                first.map_or_else(|| Ok(ZipWriter::new(Cursor::new(Vec::new())).finish()?.into_inner()), anyhow::Ok)?
            }
        };
        for output in data.output_artifacts() {
            self.write(output, data, content.clone()).await?;
        }
        Ok(Done::Right(output_variables(stand_in, self.definition, self.source)))
    }

    /// The pipeline in an output folder of the CDK that a build has made, if it is not the one that runs.
    fn changed(&self, synthesised: &[u8]) -> Result<Option<Definition>> {
        // Until the next such build: the code of functions is read from there.
        let folder = self.stack.folder.join("synthesised").join(&self.definition.name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        ZipArchive::new(Cursor::new(synthesised))?.extract(&folder).context("the input artifact cannot be unpacked")?;
        self.authored.changed_in(&folder)
    }

    async fn read(&self, artifact: &Artifact) -> Result<Vec<u8>> {
        let (bucket, key) = location(artifact)?;
        let got = self.stack.s3(HOME).get_object().bucket(bucket).key(key).send().await;
        let got = got.with_context(|| format!("cannot read the artifact s3://{bucket}/{key}"))?;
        Ok(got.body.collect().await?.to_vec())
    }

    async fn write(&self, artifact: &Artifact, data: &JobData, content: Vec<u8>) -> Result<()> {
        let (bucket, key) = location(artifact)?;
        let mut put = self.stack.s3(HOME).put_object().bucket(bucket).key(key).body(content.into());
        if let Some(key) = data.encryption_key() {
            put = put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key.id());
        }
        put.send().await.with_context(|| format!("cannot write the artifact s3://{bucket}/{key}"))?;
        Ok(())
    }
}

fn location(artifact: &Artifact) -> Result<(&str, &str)> {
    let location = artifact.location().and_then(|it| it.s3_location()).context("an artifact without a place")?;
    Ok((location.bucket_name(), location.object_key()))
}

fn file_names(content: &[u8]) -> Result<BTreeSet<String>> {
    let mut archive = ZipArchive::new(Cursor::new(content))?;
    (0..archive.len()).map(|index| Ok(archive.by_index(index)?.name()?.into_owned())).collect()
}

/// Checks a request against the provider's rules, as far as they are known: configuration keys, and files that must be in
/// the artifacts. `files`: what is in the artifacts that are what they would be on AWS.
fn check(
    action: &ActionDeclaration,
    configuration: &Configuration,
    files: &BTreeMap<String, BTreeSet<String>>,
) -> Result<(), String> {
    for property in catalogue::find(&action.action_type_id).map_or(&[][..], |it| it.configuration) {
        match configuration.get(property.name) {
            Some(value) if property.required && value.is_empty() => return Err(format!("{} is empty", property.name)),
            Some(value) => property.kind.check(value).map_err(|why| format!("{} {why}", property.name))?,
            None => {}
        }
    }
    for (artifact, file) in wanted(action, configuration) {
        if files.get(&artifact).is_some_and(|files| !files.contains(&file)) {
            return Err(format!("the artifact {artifact} has no {file}"));
        }
    }
    Ok(())
}

/// The files that a provider reads from its input artifacts: artifact and path.
pub(super) fn wanted(action: &ActionDeclaration, configuration: &Configuration) -> Vec<(String, String)> {
    let get = |key: &str| configuration.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let first = action.input_artifacts.iter().flatten().next().map_or("", |artifact| artifact.name.as_str());
    let files = match action.action_type_id.provider.as_str() {
        "CodeDeploy" => vec![(Some(first), Some("appspec.yml"))],
        "CodeDeployToECS" => vec![
            (get("TaskDefinitionTemplateArtifact"), get("TaskDefinitionTemplatePath").or(Some("taskdef.json"))),
            (get("AppSpecTemplateArtifact"), get("AppSpecTemplatePath").or(Some("appspec.yaml"))),
        ],
        "ECS" => vec![(Some(first), get("FileName").or(Some("imagedefinitions.json")))],
        // A value may be the folder of the file.
        "ECRBuildAndPublish" if get("DockerFilePath").is_none() => vec![(Some(first), Some("Dockerfile"))],
        "EKS" => get("ManifestFiles").unwrap_or_default().split(',').map(|it| (Some(first), Some(it.trim()))).collect(),
        "AppConfig" => vec![(Some(first), get("InputArtifactConfigurationPath"))],
        "ServiceCatalog" => vec![(Some(first), get("TemplateFilePath").or(get("ConfigurationFilePath")))],
        "CloudFormation" | "CloudFormationStackSet" => ["TemplatePath", "TemplateConfiguration"]
            .map(|key| get(key).and_then(|path| path.split_once("::")).unzip())
            .to_vec(),
        _ => Vec::new(),
    };
    let named = files.into_iter().filter_map(|(artifact, file)| Some((artifact?.to_owned(), file?.to_owned())));
    named.filter(|(_, file)| !file.is_empty()).collect()
}

/// Each variable that the provider documents, or that another action uses.
fn output_variables(stand_in: &StandIn, definition: &Declaration, source: &Source) -> Configuration {
    let action = &stand_in.action;
    let fixed = match catalogue::find(&action.action_type_id).map(|it| it.variables) {
        Some(OutputVariables::Fixed(names)) => names,
        _ => &[],
    };
    let mut names: BTreeSet<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
    names.extend(action.output_variables.iter().flatten().cloned());
    let actions = definition.stages.iter().flat_map(|stage| &stage.actions);
    for used in actions.flat_map(texts).flat_map(|text| variables::references(text)) {
        if Some(&used.namespace) == action.namespace.as_ref() {
            names.insert(used.key);
        }
    }
    names.into_iter().map(|name| (name.clone(), variable(&name, action, source))).collect()
}

/// Every text in which variables are replaced by their values.
fn texts(action: &ActionDeclaration) -> impl Iterator<Item = &String> {
    let environment = action.environment_variables.iter().flatten().map(|variable| &variable.value);
    let configuration = action.configuration.iter().flatten().map(|(_, value)| value);
    configuration.chain(action.commands.iter().flatten()).chain(environment)
}

fn variable(name: &str, action: &ActionDeclaration, source: &Source) -> String {
    let first = |keys: &[&str]| {
        keys.iter().map(|key| value(action, key)).find(|it| !it.is_empty()).unwrap_or(UNKNOWN).to_owned()
    };
    match name {
        "BranchName" => first(&["BranchName", "Branch"]),
        "CommitId" => source.commit(),
        "ConnectionArn" => first(&["ConnectionArn"]),
        "FullRepositoryName" => first(&["FullRepositoryId"]),
        "ImageDigest" => digest(source),
        "ImageTag" => tag(action).to_owned(),
        "ImageURI" => image(action, source),
        "RegistryId" => ACCOUNT.to_owned(),
        "RepositoryName" => first(&["RepositoryName", "Repo"]),
        _ => UNKNOWN.to_owned(),
    }
}

fn tag(action: &ActionDeclaration) -> &str {
    Some(value(action, "ImageTag")).filter(|tag| !tag.is_empty()).unwrap_or("latest")
}

fn digest(source: &Source) -> String {
    format!("sha256:{:0<64}", source.commit())
}

fn image(action: &ActionDeclaration, source: &Source) -> String {
    let repository = value(action, "RepositoryName");
    format!("{ACCOUNT}.dkr.ecr.{HOME}.amazonaws.com/{repository}@{}", digest(source))
}

/// What an ECR source hands over. Source: CodePipeline user guide, 'Amazon ECR source action reference'.
fn image_detail(action: &ActionDeclaration, source: &Source) -> Result<Vec<u8>> {
    let detail = serde_json::json!({
        "ImageSizeInBytes": "0",
        "ImageDigest": digest(source),
        "Version": "1.0",
        "RegistryId": ACCOUNT,
        "RepositoryName": value(action, "RepositoryName"),
        "ImageURI": image(action, source),
        "ImageTags": [tag(action)],
    });
    zip_of("imageDetail.json", &detail.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::run::tests::sample_source;

    fn action(category: &str, provider: &str, configuration: Value) -> ActionDeclaration {
        serde_json::from_value(json!({"name": "x", "namespace": "X", "configuration": configuration,
            "inputArtifacts": [{"name": "App"}],
            "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"}}))
        .unwrap()
    }

    fn checked(action: &ActionDeclaration, files: &[&str]) -> Result<(), String> {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        check(action, action.configuration.as_ref().unwrap(), &BTreeMap::from([("App".to_owned(), files)]))
    }

    #[test]
    fn a_request_is_checked_against_the_providers_rules() {
        let deploy = action("Deploy", "CodeDeploy", json!({"ApplicationName": "shop", "DeploymentGroupName": ""}));
        assert_eq!(checked(&deploy, &["appspec.yml"]).unwrap_err(), "DeploymentGroupName is empty");
        let deploy = action("Deploy", "CodeDeploy", json!({"ApplicationName": "shop", "DeploymentGroupName": "g"}));
        assert_eq!(checked(&deploy, &["README"]).unwrap_err(), "the artifact App has no appspec.yml");
        assert_eq!(checked(&deploy, &["appspec.yml"]), Ok(()));
        let unknown = check(&deploy, deploy.configuration.as_ref().unwrap(), &BTreeMap::new());
        assert_eq!(unknown, Ok(()), "what a stand-in made is not what it would be on AWS");
        let source = action(
            "Source",
            "CodeCommit",
            json!({"RepositoryName": "r", "BranchName": "b", "OutputArtifactFormat": "TAR"}),
        );
        assert!(checked(&source, &[]).unwrap_err().starts_with("OutputArtifactFormat must be one of"));
    }

    #[test]
    fn files_are_looked_for_where_each_provider_reads_them() {
        let wanted = |provider: &str, configuration: Value| {
            let action = action("Deploy", provider, configuration);
            wanted(&action, action.configuration.as_ref().unwrap())
        };
        let pair = |artifact: &str, file: &str| (artifact.to_owned(), file.to_owned());
        let named = json!({"TaskDefinitionTemplateArtifact": "App", "AppSpecTemplateArtifact": "Spec", "AppSpecTemplatePath": "a.yaml"});
        assert_eq!(wanted("CodeDeployToECS", named), [pair("App", "taskdef.json"), pair("Spec", "a.yaml")]);
        assert_eq!(wanted("CloudFormationStackSet", json!({"TemplatePath": "App::t.yaml"})), [pair("App", "t.yaml")]);
        assert_eq!(wanted("ECS", json!({})), [pair("App", "imagedefinitions.json")]);
        assert_eq!(
            wanted("EKS", json!({"ManifestFiles": "a.yaml, b.yaml"})),
            [pair("App", "a.yaml"), pair("App", "b.yaml")]
        );
        assert_eq!(wanted("EKS", json!({"HelmReleaseName": "web"})), []);
        assert_eq!(wanted("ECRBuildAndPublish", json!({})), [pair("App", "Dockerfile")]);
        assert_eq!(wanted("ECRBuildAndPublish", json!({"DockerFilePath": "images/web"})), []);
        assert_eq!(wanted("ElasticBeanstalk", json!({})), []);
    }

    #[test]
    fn variables_are_those_that_are_documented_and_those_that_are_used() {
        let source = action("Source", "CodeCommit", json!({"RepositoryName": "shop", "BranchName": "main"}));
        let scan = action("Build", "CodeBuild", json!({"ProjectName": "scan"}));
        let user = action("Deploy", "CloudFormation", json!({"StackName": "#{X.Severity}-#{Other.Name}"}));
        let definition = Declaration {
            stages: vec![pipeline::declaration::StageDeclaration { actions: vec![user], ..Default::default() }],
            ..Declaration::default()
        };
        let folder = sample_source();
        let of = |action| {
            output_variables(
                &StandIn { action, type_id: TypeId::default(), changes_pipeline: false },
                &definition,
                &folder,
            )
        };
        let found = of(source);
        assert_eq!((found["BranchName"].as_str(), found["RepositoryName"].as_str()), ("main", "shop"));
        assert_eq!(found["CommitId"], folder.commit());
        assert_eq!(of(scan), BTreeMap::from([("Severity".to_owned(), UNKNOWN.to_owned())]));
    }

    #[test]
    fn an_image_is_described_as_ecr_sources_do() {
        let source = action("Source", "ECR", json!({"RepositoryName": "shop"}));
        let zip = image_detail(&source, &sample_source()).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(&zip)).unwrap();
        let detail: Value = serde_json::from_reader(archive.by_name("imageDetail.json").unwrap()).unwrap();
        let digest = detail["ImageDigest"].as_str().unwrap();
        assert!(digest.len() == 71 && detail["ImageURI"].as_str().unwrap().ends_with(digest), "{detail}");
        assert_eq!(detail["ImageTags"], json!(["latest"]));
    }
}
