use driver::Task;
use serde_json::{Value, json};

use crate::build_shell::{commands, run};
use crate::managed::{aws, started};
use crate::{failed, input, registry, task};

fn build(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("ECRRepositoryName", "actions/my-image")];
    all.extend(configuration);
    Task { inputs: vec![input("App")], ..task("Build", "ECRBuildAndPublish", &all) }
}

const REPOSITORY: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/actions/my-image";
const AWS: (&str, &str) = ("aws", "echo public.ecr.aws/x/my-image");
const DOCKER: (&str, &str) = ("docker", "[ \"$1\" != inspect ] || echo repository@sha256:c0ffee");

async fn sent(configuration: &[(&str, &str)]) -> Value {
    started(&aws(&["App"]), &build(configuration)).await
}

#[tokio::test]
async fn an_image_is_built_and_pushed_with_all_its_tags() {
    let sent = sent(&[("ImageTags", "latest, v1.2")]).await;
    assert_eq!((&sent["privilegedModeOverride"], &sent["projectName"]), (&json!(true), &json!("millrace-compute")));
    let ran = run(&sent, &[("Dockerfile", "")], &[AWS, DOCKER]);
    assert_eq!(ran.failed, None, "{}", ran.printed);
    let tags = [format!("{REPOSITORY}:latest"), format!("{REPOSITORY}:v1.2")];
    let calls: Vec<_> = ran.calls.iter().filter(|it| !it.starts_with("docker [login]")).cloned().collect();
    assert_eq!(
        calls,
        [
            "aws [ecr] [get-login-password]".to_owned(),
            format!("docker [build] [--file=Dockerfile] [--tag={}] [--tag={}] [.]", tags[0], tags[1]),
            format!("docker [push] [{}]", tags[0]),
            format!("docker [push] [{}]", tags[1]),
            format!("docker [inspect] [--format={{{{index .RepoDigests 0}}}}] [{}]", tags[0]),
        ]
    );
    let login = "docker [login] [--username=AWS] [--password-stdin] [111122223333.dkr.ecr.eu-west-1.amazonaws.com]";
    assert!(ran.calls.iter().any(|it| it == login), "{:?}", ran.calls);
    let exported = [("ECRImageDigestId", "sha256:c0ffee"), ("ECRRepositoryName", "actions/my-image")];
    assert_eq!(ran.exported, exported.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn the_tag_is_latest_and_a_dockerfile_may_be_in_a_folder() {
    for (path, file) in [("images/web", "images/web/Dockerfile"), ("images/Other", "images/Other")] {
        let sent = sent(&[("DockerFilePath", path)]).await;
        let ran = run(&sent, &[("images/web/Dockerfile", ""), ("images/Other", "")], &[AWS, DOCKER]);
        let call = format!("docker [build] [--file={file}] [--tag={REPOSITORY}:latest] [.]");
        assert!(ran.calls.contains(&call), "{:?}", ran.calls);
    }
}

#[tokio::test]
async fn a_public_repository_is_asked_where_it_is() {
    let ran = run(&sent(&[("RegistryType", "public")]).await, &[], &[AWS, DOCKER]);
    let describe = "aws [ecr-public] [describe-repositories] [--region=us-east-1] [--repository-names=actions/my-image] \
                    [--query=repositories[0].repositoryUri] [--output=text]";
    for call in [describe, "docker [push] [public.ecr.aws/x/my-image:latest]"] {
        assert!(ran.calls.iter().any(|it| it == call), "{:?}", ran.calls);
    }
}

#[tokio::test]
async fn no_value_can_be_a_command_or_an_option() {
    let evil = "x'; touch hacked; echo '$(touch hacked)`touch hacked`";
    for configuration in [
        &[("ECRRepositoryName", evil)][..],
        &[("ECRRepositoryName", evil), ("RegistryType", "public")],
        &[("DockerFilePath", evil)],
        &[("DockerFilePath", "--privileged")],
    ] {
        let ran = run(&sent(configuration).await, &[], &[AWS, DOCKER]);
        assert_eq!(ran.failed, None, "{}", ran.printed);
        assert!(!ran.source.path().join("hacked").exists(), "{:?}", ran.calls);
        assert!(!ran.calls.iter().any(|it| it.contains("[--privileged]")), "{:?}", ran.calls);
    }
}

#[tokio::test]
async fn a_build_of_docker_that_fails_pushes_nothing() {
    let sent = sent(&[]).await;
    let ran = run(&sent, &[], &[AWS, ("docker", "[ \"$1\" != build ]")]);
    let command = commands(&sent).into_iter().find(|it| it.starts_with("docker build")).unwrap();
    assert_eq!(ran.failed, Some(command));
    assert!(!ran.calls.iter().any(|it| it.starts_with("docker [push]")));
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_names_the_key() {
    let aws = aws(&["App"]);
    for (configuration, part) in [
        (&[("ImageTags", "a b")][..], "ImageTags is \"a b\": it must be tags"),
        (&[("ImageTags", ",")], "ImageTags is \",\""),
        (&[("ImageTags", "-rf")], "the first neither . nor -"),
        (&[("RegistryType", "secret")], "it can be private or public"),
        (&[("ECRRepositoryName", "")], "needs a value for ECRRepositoryName"),
    ] {
        let error = failed(&registry(&aws), &build(configuration)).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert!(aws.calls("StartBuild").is_empty());
}

#[tokio::test]
async fn an_image_of_another_account_is_in_that_account_s_registry() {
    let task = Task { action_role: Some("arn:aws-cn:iam::444455556666:role/pusher".into()), ..build(&[]) };
    let task = Task { region: "cn-north-1".into(), ..task };
    let sent = started(&aws(&["App"]), &task).await;
    let repository = "REPOSITORY=444455556666.dkr.ecr.cn-north-1.amazonaws.com.cn/actions/my-image";
    assert!(commands(&sent).iter().any(|it| it == repository), "{:?}", commands(&sent));
}
