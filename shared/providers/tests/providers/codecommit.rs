use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use aws_lambda_events::eventbridge::EventBridgeEvent;
use driver::Task;
use engine::{RevisionOverride, Timestamp};
use providers::{Source, SourceChange};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::{Aws, Reply};
use zip::ZipArchive;

use crate::{artifact, failed, made, put_off, registry, succeeded, task};

const COMMIT: &str = "7f5b2640fe6fb4f46592dfd3410c4a79dac4f890";
const STORED: &str = "store-eu/shop/Code/abcdefghijklmnop";

fn source(more: &[(&str, &str)]) -> Task {
    let mut configuration = vec![("RepositoryName", "shop"), ("BranchName", "main")];
    configuration.extend(more);
    let mut task = task("Source", "CodeCommit", &configuration);
    task.outputs = vec![artifact("Code")];
    task
}

fn prescribed(kind: &str, value: &str) -> Task {
    let mut task = source(&[]);
    let action = task.action.name.clone();
    task.overrides.push(RevisionOverride::new(action, kind, value));
    task
}

fn answer(body: &Value) -> Reply {
    (200, BTreeMap::new(), body.to_string().into_bytes())
}

fn file(path: &str, mode: &str) -> Value {
    json!({"absolutePath": path, "relativePath": path.rsplit('/').next(), "blobId": format!("blob-{path}"), "fileMode": mode})
}

/// AWS with a repository of two folders, whose files contain their blobs' ids.
fn repository() -> Aws {
    let aws = Aws::default();
    aws.on("GetBranch", 200, json!({"branch": {"branchName": "main", "commitId": COMMIT}}).to_string());
    let commit = json!({"commitId": COMMIT, "treeId": "t", "message": "Faster start\n",
        "author": {"name": "Ann", "email": "ann@example.com", "date": "1484167798 -0800"},
        "committer": {"name": "Bob", "email": "bob@example.com", "date": "1484171398 +0100"}});
    aws.on("GetCommit", 200, json!({"commit": commit}).to_string());
    aws.reply("GetFolder", |call| {
        let asked = call.json();
        assert_eq!((&asked["repositoryName"], &asked["commitSpecifier"]), (&json!("shop"), &json!(COMMIT)));
        answer(&match asked["folderPath"].as_str().unwrap() {
            "/" => json!({"commitId": COMMIT, "folderPath": "",
                "files": [file("read.me", "NORMAL"), file("deploy.sh", "EXECUTABLE")],
                "subFolders": [{"absolutePath": "src", "treeId": "t2"}],
                "symbolicLinks": [file("link", "SYMLINK")],
                "subModules": [{"absolutePath": "library", "commitId": "c2"}]}),
            "src" => json!({"commitId": COMMIT, "folderPath": "src",
                "files": [file("src/main.rs", "NORMAL"), file("src/alias", "SYMLINK")]}),
            other => panic!("{other} is no folder"),
        })
    });
    aws.reply("GetBlob", |call| {
        let asked = call.json();
        assert_eq!(asked["repositoryName"], "shop");
        let content = aws_smithy_types::base64::encode(asked["blobId"].as_str().unwrap());
        answer(&json!({"content": content}))
    });
    aws
}

/// Name, content and mode of each file.
pub fn unpacked(bytes: &[u8]) -> Vec<(String, String, u32)> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let entries = 0..zip.len();
    let read = |at| {
        let mut file = zip.by_index(at).unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        (file.name().unwrap().into_owned(), content, file.unix_mode().unwrap() & 0o777)
    };
    entries.map(read).collect()
}

#[tokio::test]
async fn the_files_at_the_newest_commit_become_the_artifact_with_their_modes_and_without_links() {
    let aws = repository();
    let done = succeeded(&registry(&aws), &source(&[])).await;
    assert_eq!(aws.calls("GetBranch")[0].json(), json!({"repositoryName": "shop", "branchName": "main"}));
    assert_eq!(aws.calls("GetCommit")[0].json(), json!({"repositoryName": "shop", "commitId": COMMIT}));
    let stored = aws.stored(STORED).data;
    let files = [
        ("deploy.sh".into(), "blob-deploy.sh".into(), 0o755),
        ("read.me".into(), "blob-read.me".into(), 0o644),
        ("src/main.rs".into(), "blob-src/main.rs".into(), 0o644),
    ];
    assert_eq!(unpacked(&stored), files);
    assert_eq!(done.outputs, [made("Code", &stored)]);
    let put = &aws.calls("PutObject")[0];
    assert_eq!(put.header("x-amz-server-side-encryption-aws-kms-key-id"), "arn:aws:kms:eu-west-1:111122223333:key/k");
    assert!(aws.calls("GetBlob").iter().all(|call| call.role == "pipeline" && call.region == "eu-west-1"));

    let variables: Vec<_> = done.variables.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [
        ("AuthorDate", "2017-01-11T20:49:58Z"),
        ("BranchName", "main"),
        ("CommitId", COMMIT),
        ("CommitMessage", "Faster start"),
        ("CommitterDate", "2017-01-11T21:49:58Z"),
        ("RepositoryName", "shop"),
    ];
    assert_eq!(variables, expected);
    let revision = done.revision.unwrap();
    assert_eq!((revision.id.as_str(), revision.summary.as_deref()), (COMMIT, Some("Faster start")));
    assert_eq!(revision.created, Some(Timestamp(1_484_171_398_000)));
    let page = format!(
        "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/shop/commit/{COMMIT}?region=eu-west-1"
    );
    assert_eq!(revision.url, Some(page.clone()));
    let external = done.report.external.unwrap();
    assert_eq!((external.id.as_str(), external.url), (COMMIT, Some(page)));
}

#[tokio::test]
async fn the_same_commit_makes_the_same_bytes_in_whatever_order_the_answers_come() {
    let aws = repository();
    succeeded(&registry(&aws), &source(&[])).await;
    let first = aws.stored(STORED).data;
    let mut repeated = source(&[]);
    repeated.reclaimed = true;
    succeeded(&registry(&aws), &repeated).await;
    assert_eq!(aws.stored(STORED).data, first);
}

#[tokio::test]
async fn a_prescribed_commit_is_taken_instead_of_the_branch_s_and_nothing_else_is() {
    let aws = repository();
    let done = succeeded(&registry(&aws), &prescribed("COMMIT_ID", COMMIT)).await;
    assert!(aws.calls("GetBranch").is_empty());
    assert_eq!(done.revision.unwrap().id, COMMIT);
    let error = failed(&registry(&aws), &prescribed("IMAGE_DIGEST", "sha256:0")).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("IMAGE_DIGEST: a repository takes COMMIT_ID"), "{}", error.message);
    for exception in ["CommitIdDoesNotExistException", "InvalidCommitIdException"] {
        aws.fail("GetCommit", 400, exception, "the words of CodeCommit");
        assert_eq!(failed(&registry(&aws), &prescribed("COMMIT_ID", "gone")).await.code, "RevisionUnavailable");
        assert_eq!(failed(&registry(&aws), &source(&[])).await.code, "ConfigurationError");
    }
}

#[tokio::test]
async fn a_reference_is_stored_where_a_build_is_to_clone_the_repository() {
    let aws = repository();
    let done = succeeded(&registry(&aws), &source(&[("OutputArtifactFormat", "CODEBUILD_CLONE_REF")])).await;
    let stored = aws.stored(STORED).data;
    assert_eq!(done.outputs, [made("Code", &stored)]);
    let reference: Value = serde_json::from_slice(&stored).unwrap();
    let expected = json!({"sourceType": "CODECOMMIT", "sourceVersion": COMMIT,
        "sourceLocation": "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop"});
    assert_eq!(reference, expected);
    assert!(aws.calls("GetFolder").is_empty() && aws.calls("GetBlob").is_empty());
    assert_eq!(done.variables["CommitId"], COMMIT);
    let error = failed(&registry(&aws), &source(&[("OutputArtifactFormat", "TAR")])).await;
    assert!(error.message.contains("CODE_ZIP or CODEBUILD_CLONE_REF"), "{}", error.message);
}

#[tokio::test]
async fn what_is_missing_or_forbidden_is_named_in_codecommit_s_words_and_what_passes_is_put_off() {
    let cases = [
        ("GetBranch", "BranchDoesNotExistException", "the branch main of the repository shop in eu-west-1"),
        ("GetBranch", "RepositoryDoesNotExistException", "the branch main of the repository shop in eu-west-1"),
        ("GetFolder", "CommitDoesNotExistException", "at the commit"),
        ("GetBlob", "BlobIdDoesNotExistException", "the file deploy.sh of the repository shop"),
        ("GetBlob", "EncryptionKeyDisabledException", "the file deploy.sh of the repository shop"),
    ];
    for (operation, exception, about) in cases {
        let aws = repository();
        aws.fail(operation, 400, exception, "the words of CodeCommit");
        let error = failed(&registry(&aws), &source(&[])).await;
        assert_eq!(error.code, "ConfigurationError", "{exception}");
        assert!(error.message.starts_with(&format!("{operation} of ")), "{}", error.message);
        assert!(error.message.contains(about), "{}", error.message);
        assert!(error.message.ends_with(&format!("failed: {exception}: the words of CodeCommit")), "{}", error.message);
        assert!(aws.calls("PutObject").is_empty());
    }
    for operation in ["GetBranch", "GetCommit", "GetFolder", "GetBlob"] {
        for exception in ["AccessDeniedException", "EncryptionKeyAccessDeniedException"] {
            let aws = repository();
            aws.fail(operation, 400, exception, "the words of CodeCommit");
            assert_eq!(failed(&registry(&aws), &source(&[])).await.code, "PermissionError", "{operation} {exception}");
        }
        for (exception, status) in
            [("ThrottlingException", 400), ("EncryptionKeyUnavailableException", 400), ("InternalFailure", 500)]
        {
            let aws = repository();
            aws.fail(operation, status, exception, "Later.");
            let message = put_off(&registry(&aws), &source(&[])).await;
            assert!(message.contains("of the repository shop in eu-west-1"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_file_that_the_api_does_not_give_out_says_what_to_do_instead() {
    let aws = repository();
    aws.fail("GetBlob", 400, "FileTooLargeException", "Too large.");
    let error = failed(&registry(&aws), &source(&[])).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("deploy.sh") && error.message.contains("Too large."), "{}", error.message);
    assert!(error.message.ends_with("OutputArtifactFormat CODEBUILD_CLONE_REF"), "{}", error.message);
}

#[tokio::test]
async fn an_answer_that_lacks_what_it_must_have_or_breaks_off_is_no_artifact() {
    for (operation, body, missing) in [
        ("GetBranch", json!({"branch": {}}), "commitId"),
        ("GetBranch", json!({}), "commitId"),
        ("GetFolder", json!({"commitId": COMMIT, "folderPath": "", "files": [{"blobId": "b"}]}), "absolutePath"),
        ("GetFolder", json!({"commitId": COMMIT, "folderPath": "", "files": [{"absolutePath": "a"}]}), "blobId"),
        ("GetFolder", json!({"commitId": COMMIT, "folderPath": "", "subFolders": [{}]}), "absolutePath"),
    ] {
        let aws = repository();
        aws.on(operation, 200, body.to_string());
        let error = failed(&registry(&aws), &source(&[])).await;
        assert_eq!(error.code, "JobFailed", "{body}");
        assert!(error.message.ends_with(&format!("CodeCommit's answer has no {missing}")), "{}", error.message);
    }
    for operation in ["GetBranch", "GetCommit", "GetFolder", "GetBlob"] {
        let aws = repository();
        aws.on(operation, 200, "{\"half\": ");
        put_off(&registry(&aws), &source(&[])).await;
        assert!(aws.calls("PutObject").is_empty());
    }
    // Nobody's tree has such names; who writes them means harm.
    let aws = repository();
    let tree = json!({"commitId": COMMIT, "folderPath": "", "files": [file("../../etc/passwd", "NORMAL")]});
    aws.on("GetFolder", 200, tree.to_string());
    assert!(failed(&registry(&aws), &source(&[])).await.message.contains("climbs"));
}

#[tokio::test]
async fn thousands_of_files_go_through_with_a_bounded_number_of_calls_for_folders() {
    let aws = repository();
    aws.reply("GetFolder", |call| {
        let asked = call.json();
        answer(&match asked["folderPath"].as_str().unwrap() {
            "/" => {
                let folders: Vec<_> = (0..40).map(|n| json!({"absolutePath": format!("d{n}")})).collect();
                json!({"commitId": COMMIT, "folderPath": "", "subFolders": folders})
            }
            folder => {
                let files: Vec<_> = (0..50).map(|n| file(&format!("{folder}/{n}"), "NORMAL")).collect();
                json!({"commitId": COMMIT, "folderPath": folder, "files": files})
            }
        })
    });
    succeeded(&registry(&aws), &source(&[])).await;
    let files = unpacked(&aws.stored(STORED).data);
    assert_eq!((files.len(), aws.calls("GetFolder").len(), aws.calls("GetBlob").len()), (2000, 41, 2000));
    assert!(files.iter().all(|(name, content, _)| *content == format!("blob-{name}")), "each has its own content");
}

fn provider() -> Source {
    providers::find(&source(&[]).action).unwrap().source.unwrap()
}

/// Source: CodeCommit user guide, 'Monitoring CodeCommit events in Amazon EventBridge'.
fn event(detail: Value) -> EventBridgeEvent<Value> {
    let event = json!({"version": "0", "id": "01234567", "detail-type": "CodeCommit Repository State Change",
        "source": "aws.codecommit", "account": "444455556666", "time": "2019-06-12T10:23:43Z", "region": "eu-west-1",
        "resources": ["arn:aws:codecommit:eu-west-1:444455556666:shop"], "detail": detail});
    EventBridgeEvent::deserialize(event).unwrap()
}

#[test]
fn a_new_commit_of_the_branch_starts_who_watches_it_with_that_commit() {
    for kind in ["referenceCreated", "referenceUpdated"] {
        let changed = json!({"event": kind, "repositoryName": "shop", "repositoryId": "12345678",
            "referenceType": "branch", "referenceName": "main", "referenceFullName": "refs/heads/main",
            "commitId": COMMIT, "oldCommitId": "3e5983EXAMPLE", "callerUserArn": "arn:aws:iam::444455556666:user/ann"});
        let change = SourceChange {
            watched: "codecommit/eu-west-1/shop:main".into(),
            account: Some("444455556666".into()),
            revision: Some(("COMMIT_ID", COMMIT.into())),
            token: "codecommit#01234567".into(),
            detail: "arn:aws:codecommit:eu-west-1:444455556666:shop".into(),
        };
        assert_eq!((provider().events.unwrap().change)(&event(changed)).unwrap(), Some(change.clone()));
        assert_eq!((provider().watched)(&source(&[]).action, "eu-west-1"), Some(change.watched));
    }
    let takes = |kind: &str| (provider().takes_revision)(&BTreeMap::new(), kind);
    assert!(takes("COMMIT_ID").is_ok() && takes("S3_OBJECT_VERSION_ID").is_err());
}

#[test]
fn tags_and_branches_that_are_deleted_start_nobody() {
    for (kind, reference) in [
        ("referenceDeleted", "branch"),
        ("referenceCreated", "tag"),
        ("referenceUpdated", "tag"),
        ("pullRequestCreated", "branch"),
    ] {
        let other = json!({"event": kind, "repositoryName": "shop", "referenceType": reference,
            "referenceName": "main", "commitId": COMMIT});
        assert_eq!((provider().events.unwrap().change)(&event(other)).unwrap(), None, "{kind} {reference}");
    }
}

#[test]
fn an_event_that_lacks_what_it_should_have_says_so() {
    let short = json!({"event": "referenceUpdated", "referenceType": "branch", "repositoryName": "shop"});
    let error = (provider().events.unwrap().change)(&event(short)).unwrap_err();
    assert!(error.to_string().contains("referenceName"), "{error}");
}
