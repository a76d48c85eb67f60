//! What polls ask of sources, and what they make of the answers.

use driver::{ExecutorError, NewestRevision, SourceReader, Task};
use serde_json::json;
use testkit::Aws;

use crate::{registry, task};

const BRANCH: &str = "GET https://api.github.com/repos/team/shop/commits/heads/main?per_page=1";
const COMMIT: &str = "6ad33087f0000000000000000000000000000001";

async fn newest(aws: &Aws, task: &Task, validator: Option<&str>) -> Result<Option<NewestRevision>, ExecutorError> {
    registry(aws).newest(task, validator).await
}

/// What is polled for an action of this task's.
fn polled(task: &Task) -> Option<String> {
    (providers::SOURCES.polled)(&task.action, "eu-west-1")
}

fn watched(task: &Task) -> Option<String> {
    (providers::SOURCES.watched)(&task.action, "eu-west-1")
}

fn s3(more: &[(&str, &str)]) -> Task {
    task("Source", "S3", &[&[("S3Bucket", "src"), ("S3ObjectKey", "app.zip")], more].concat())
}

fn codecommit(more: &[(&str, &str)]) -> Task {
    task("Source", "CodeCommit", &[&[("RepositoryName", "shop"), ("BranchName", "main")], more].concat())
}

fn github(more: &[(&str, &str)]) -> Task {
    let configuration = [("Owner", "team"), ("Repo", "shop"), ("Branch", "main"), ("OAuthToken", "ghp_1")];
    let mut task = task("Source", "GitHub", &[&configuration, more].concat());
    task.action.type_id.owner = Some("ThirdParty".into());
    task
}

#[test]
fn what_is_polled_is_what_says_so_and_what_no_event_tells_of() {
    let poll = |value| [("PollForSourceChanges", value)];
    let (object, branch) = (Some("s3/src/app.zip".to_owned()), Some("codecommit/eu-west-1/shop:main".to_owned()));
    for no in ["false", "False"] {
        assert_eq!(
            [polled(&s3(&poll(no))), polled(&codecommit(&poll(no))), polled(&github(&poll(no)))],
            [(); 3].map(|()| None)
        );
    }
    assert_eq!((polled(&s3(&[])), polled(&codecommit(&[]))), (None, None), "their services tell of changes");
    assert_eq!((watched(&s3(&[])), watched(&codecommit(&[]))), (object.clone(), branch.clone()));
    for yes in ["true", "True"] {
        assert_eq!((polled(&s3(&poll(yes))), watched(&s3(&poll(yes)))), (object.clone(), object.clone()));
        assert_eq!((polled(&codecommit(&poll(yes))), watched(&codecommit(&poll(yes)))), (branch.clone(), None));
    }
    let at_github = Some("github/team/shop:main".to_owned());
    assert_eq!([polled(&github(&[])), polled(&github(&poll("true")))], [at_github.clone(), at_github]);
    assert_eq!(polled(&task("Source", "ECR", &[("RepositoryName", "shop")])), None);
    let mut variable = s3(&poll("true"));
    variable.action.configuration.insert("S3ObjectKey".into(), "#{variables.key}".into());
    assert_eq!(polled(&variable), None, "nobody knows what it stands for");
}

#[tokio::test]
async fn an_object_is_at_its_newest_version_which_names_the_change_as_its_event_does() {
    let aws = Aws::default();
    let poll = s3(&[("PollForSourceChanges", "true")]);
    assert_eq!(newest(&aws, &poll, None).await.unwrap(), None, "nothing is there yet");
    aws.object("src/app.zip", "v1", b"old");
    aws.object("src/app.zip", "v2", b"new");
    let found = newest(&aws, &poll, None).await.unwrap().unwrap();
    let expected = NewestRevision {
        kind: "S3_OBJECT_VERSION_ID",
        value: "v2".into(),
        validator: None,
        token: Some("s3#v2".into()),
        detail: "arn:aws:s3:::src/app.zip".into(),
    };
    assert_eq!(found, expected);
    assert_eq!(
        aws.all_calls().last().map(|call| (call.operation.as_str(), call.role.as_str())),
        Some(("HeadObject", "pipeline"))
    );
}

#[tokio::test]
async fn a_branch_of_codecommit_is_at_its_newest_commit() {
    let aws = Aws::default();
    aws.on("GetBranch", 200, json!({"branch": {"branchName": "main", "commitId": COMMIT}}).to_string());
    let found = newest(&aws, &codecommit(&[]), None).await.unwrap().unwrap();
    let expected = NewestRevision {
        kind: "COMMIT_ID",
        value: COMMIT.into(),
        validator: None,
        token: None,
        detail: "arn:aws:codecommit:eu-west-1:111122223333:shop".into(),
    };
    assert_eq!(found, expected);
    assert_eq!(aws.calls("GetBranch")[0].json(), json!({"repositoryName": "shop", "branchName": "main"}));
    aws.fail("GetBranch", 400, "BranchDoesNotExistException", "no such branch");
    let error = newest(&aws, &codecommit(&[]), None).await.unwrap_err().to_string();
    assert!(error.contains("the branch main of the repository shop"), "{error}");
}

#[tokio::test]
async fn github_is_asked_whether_there_is_anything_newer() {
    let aws = Aws::default();
    let commit = json!({"sha": COMMIT, "html_url": format!("https://github.com/team/shop/commit/{COMMIT}"),
        "commit": {"message": "Faster start"}});
    aws.reply(BRANCH, move |call| match call.header("if-none-match") {
        "" | "\"old\"" => (200, [("etag".to_owned(), "\"new\"".to_owned())].into(), commit.to_string().into()),
        "\"new\"" => (304, [].into(), Vec::new()),
        other => panic!("{other}"),
    });
    for validator in [None, Some("\"old\"")] {
        let found = newest(&aws, &github(&[]), validator).await.unwrap().unwrap();
        let expected = NewestRevision {
            kind: "COMMIT_ID",
            value: COMMIT.into(),
            validator: Some("\"new\"".into()),
            token: None,
            detail: "team/shop".into(),
        };
        assert_eq!(found, expected);
    }
    assert_eq!(newest(&aws, &github(&[]), Some("\"new\"")).await.unwrap(), None);
    aws.on(BRANCH, 401, json!({"message": "Bad credentials"}).to_string());
    let error = newest(&aws, &github(&[]), None).await.unwrap_err().to_string();
    assert!(error.contains("Bad credentials") && !error.contains("ghp_1"), "{error}");
}
