use std::collections::BTreeMap;
use std::io::Write;

use driver::{SourceReader, Task};
use engine::{RevisionOverride, Timestamp};
use pipeline::git_trigger::{GitChange, GitEvent, PullRequest, PullRequestEvent};
use serde_json::{Value, json};
use testkit::{Aws, Call, Reply, TestLog};
use tracing::Level;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::codecommit::unpacked;
use crate::{artifact, failed, made, put_off, registry, registry_beside, succeeded, task};

pub const COMMIT: &str = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d";
const STORED: &str = "store-eu/shop/Code/abcdefghijklmnop";
const CONNECTION: &str = "arn:aws:codestar-connections:eu-west-1:111122223333:connection/0a1b-2c3d";
const BRANCH: &str = "GET https://api.github.com/repos/team/shop/commits/heads/main?per_page=1";
const TOKEN: &str = "ghp_0123456789abcdef";

/// The archive's address, and where GitHub redirects to.
fn zipball(commit: &str) -> String {
    format!("GET https://api.github.com/repos/team/shop/zipball/{commit}")
}
const CODELOAD: &str = "https://codeload.github.com/team/shop/legacy.zip/7fd1a60?token=OF-THE-HOST";

fn source(more: &[(&str, &str)]) -> Task {
    let mut configuration =
        vec![("ConnectionArn", CONNECTION), ("FullRepositoryId", "team/shop"), ("BranchName", "main")];
    configuration.extend(more);
    let mut task = task("Source", "CodeStarSourceConnection", &configuration);
    task.outputs = vec![artifact("Code")];
    task
}

fn prescribed(kind: &str, value: &str) -> Task {
    let mut task = source(&[]);
    let action = task.action.name.clone();
    task.overrides.push(RevisionOverride::new(action, kind, value));
    task
}

pub fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (status, headers, body.into())
}

/// Source: GitHub REST API, 'Get a commit'.
pub fn described() -> Value {
    json!({"sha": COMMIT, "url": format!("https://api.github.com/repos/team/shop/commits/{COMMIT}"),
        "html_url": format!("https://github.com/team/shop/commit/{COMMIT}"),
        "commit": {"message": "Faster start\n", "author": {"name": "Ann", "email": "ann@example.com",
            "date": "2011-04-14T16:00:49Z"}, "committer": {"name": "Bob", "date": "2011-04-14T18:00:49+01:00"}},
        "author": {"login": "ann", "id": 583_231}})
}

/// The archive of a code host: one folder, with an executable file and a link.
pub fn archive(folder: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mode = |mode| SimpleFileOptions::default().unix_permissions(mode);
    zip.add_directory(format!("{folder}/"), mode(0o755)).unwrap();
    for (name, permissions) in [("read.me", 0o644), ("bin/run", 0o755)] {
        zip.start_file(format!("{folder}/{name}"), mode(permissions)).unwrap();
        zip.write_all(name.as_bytes()).unwrap();
    }
    zip.add_symlink(format!("{folder}/link"), "read.me", mode(0o777)).unwrap();
    zip.finish().unwrap().into_inner()
}

fn secret(aws: &Aws, value: &Value) {
    aws.on("GetSecretValue", 200, json!({"Name": "n", "SecretString": value.to_string()}).to_string());
}

pub fn serves_archive(aws: &Aws) {
    aws.reply(&zipball(COMMIT), |_| answer(302, &[("location", CODELOAD)], ""));
    aws.on(&format!("GET {CODELOAD}"), 200, archive("team-shop-7fd1a60"));
}

/// AWS with the connection's secret, and GitHub with the repository.
fn github() -> Aws {
    let aws = Aws::default();
    secret(&aws, &json!({"token": TOKEN}));
    aws.on(BRANCH, 200, described().to_string());
    serves_archive(&aws);
    aws
}

fn authorization(call: &Call) -> &str {
    call.header("authorization")
}

#[tokio::test]
async fn the_files_at_the_newest_commit_of_the_branch_become_the_artifact() {
    let aws = github();
    let done = succeeded(&registry(&aws), &source(&[])).await;
    let asked = &aws.calls("GetSecretValue")[0];
    assert_eq!(asked.json(), json!({"SecretId": "millrace/connections/0a1b-2c3d"}));
    assert_eq!((asked.role.as_str(), asked.region.as_str()), ("pipeline", "eu-west-1"), "no function's right");
    let stored = aws.stored(STORED).data;
    let files = [("read.me".into(), "read.me".into(), 0o644), ("bin/run".into(), "bin/run".into(), 0o755)];
    assert_eq!(unpacked(&stored), files);
    assert_eq!(done.outputs, [made("Code", &stored)]);

    let variables: Vec<_> = done.variables.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [
        ("AuthorDate", "2011-04-14T16:00:49Z"),
        ("AuthorDisplayName", "Ann"),
        ("AuthorEmail", "ann@example.com"),
        ("AuthorId", "583231"),
        ("BranchName", "main"),
        ("CommitId", COMMIT),
        ("CommitMessage", "Faster start"),
        ("ConnectionArn", CONNECTION),
        ("FullRepositoryName", "team/shop"),
        ("ProviderType", "GitHub"),
    ];
    assert_eq!(variables, expected);
    let revision = done.revision.unwrap();
    assert_eq!((revision.id.as_str(), revision.summary.as_deref()), (COMMIT, Some("Faster start")));
    assert_eq!(revision.url, Some(format!("https://github.com/team/shop/commit/{COMMIT}")));
    assert_eq!(revision.created, Some(Timestamp(1_302_800_449_000)));
    assert_eq!(done.report.external.unwrap().id, COMMIT);
}

#[tokio::test]
async fn the_token_goes_to_the_api_and_to_no_other_host() {
    let aws = github();
    succeeded(&registry(&aws), &source(&[])).await;
    for operation in [BRANCH, &zipball(COMMIT)] {
        let call = &aws.calls(operation)[0];
        assert_eq!((authorization(call), call.header("user-agent")), ("Bearer ghp_0123456789abcdef", "millrace"));
    }
    assert_eq!(authorization(&aws.calls(&format!("GET {CODELOAD}"))[0]), "");
    for place in [
        "https://codeload.github.com.evil.example/a.zip",
        "https://evilgithub.com/a.zip",
        "http://codeload.github.com/a.zip",
        "https://codeload.github.com:8443/a.zip",
        "ftp://codeload.github.com/a.zip",
    ] {
        aws.reply(&zipball(COMMIT), move |_| answer(302, &[("location", place)], ""));
        let error = failed(&registry(&aws), &source(&[])).await;
        assert_eq!(error.code, "JobFailed");
        assert!(error.message.contains("is not a place of api.github.com"), "{}", error.message);
        assert!(aws.calls(&format!("GET {place}")).is_empty(), "{place}");
    }
}

/// On a local stack. Elsewhere, 127.0.0.1 is no place for a token.
#[tokio::test]
async fn only_the_code_host_of_a_local_stack_is_reached_without_tls() {
    const HERE: &str = "http://127.0.0.1:4590";
    let api = format!("{HERE}/api/v3/repos/team/shop");
    let aws = Aws::default();
    let connection =
        |address: &str| json!({"token": TOKEN, "providerType": "GitHubEnterpriseServer", "apiUrl": address});
    secret(&aws, &connection(&format!("{HERE}/api/v3")));
    aws.on(&format!("GET {api}/commits/heads/main?per_page=1"), 200, described().to_string());
    let zipball = format!("GET {api}/zipball/{COMMIT}");
    aws.on(&zipball, 200, archive("team-shop-7fd1a60"));
    assert!(failed(&registry(&aws), &source(&[])).await.message.contains("begins with https://"));

    let beside = registry_beside(&aws, HERE);
    succeeded(&beside, &source(&[])).await;
    assert_eq!(authorization(&aws.calls(&zipball)[0]), format!("Bearer {TOKEN}"));
    for place in ["http://127.0.0.1:9001/2018-06-01/runtime/invocation/next", "http://localhost:4590/a.zip"] {
        aws.reply(&zipball, move |_| answer(302, &[("location", place)], ""));
        let error = failed(&beside, &source(&[])).await;
        assert!(error.message.contains("is refused"), "{}", error.message);
    }
    for other in ["http://127.0.0.1:9001/api/v3", "http://localhost:4590/api/v3", "http://github.example.com"] {
        secret(&aws, &connection(other));
        assert!(failed(&beside, &source(&[])).await.message.contains("begins with https://"), "{other}");
    }
}

#[tokio::test]
async fn the_finest_log_has_no_token_in_it() {
    let log = TestLog::at(Level::TRACE);
    succeeded(&registry(&github()), &source(&[])).await;
    let text = log.text();
    assert!(text.contains("/repos/team/shop/zipball/"), "requests are logged");
    // The fake's answers are in memory, so the SDK shows the one with the secret: what comes by a connection it does not.
    let sent = text.lines().filter(|line| !line.contains("received response from service"));
    let shown: Vec<_> = sent.filter(|line| line.contains(TOKEN)).collect();
    assert!(shown.is_empty(), "{shown:#?}");
}

#[tokio::test]
async fn redirects_have_an_end_and_queries_are_in_no_message() {
    let aws = github();
    aws.reply(&format!("GET {CODELOAD}"), |_| answer(302, &[("location", CODELOAD)], ""));
    let error = failed(&registry(&aws), &source(&[])).await;
    assert!(error.message.ends_with("was redirected more than 5 times"), "{}", error.message);
    assert!(!error.message.contains("OF-THE-HOST"), "{}", error.message);
    aws.on(&format!("GET {CODELOAD}"), 302, "");
    assert!(failed(&registry(&aws), &source(&[])).await.message.ends_with("leads nowhere"));
    // A repository that was renamed is found where it is now.
    let aws = github();
    aws.reply(BRANCH, |_| answer(301, &[("location", "/repositories/1/commits/heads/main")], ""));
    aws.on("GET https://api.github.com/repositories/1/commits/heads/main", 200, described().to_string());
    succeeded(&registry(&aws), &source(&[])).await;
}

#[tokio::test]
async fn a_prescribed_commit_is_taken_instead_of_the_branch_s() {
    let aws = github();
    let at = "GET https://api.github.com/repos/team/shop/commits/7fd1a60?per_page=1";
    aws.on(at, 200, described().to_string());
    let done = succeeded(&registry(&aws), &prescribed("COMMIT_ID", "7fd1a60")).await;
    assert_eq!(done.revision.unwrap().id, COMMIT);
    assert!(aws.calls(BRANCH).is_empty());
    assert_eq!(failed(&registry(&aws), &prescribed("IMAGE_DIGEST", "sha256:0")).await.code, "ConfigurationError");
    for status in [404, 422] {
        aws.on(at, status, r#"{"message": "No commit found for SHA: 7fd1a60"}"#);
        let error = failed(&registry(&aws), &prescribed("COMMIT_ID", "7fd1a60")).await;
        assert_eq!(error.code, "RevisionUnavailable");
        assert!(error.message.contains("No commit found for SHA: 7fd1a60"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_branch_s_name_is_one_of_the_address_whatever_it_contains() {
    let aws = github();
    let mut task = source(&[]);
    task.configuration.insert("BranchName".into(), "feature/a b?c#d".into());
    let at = "GET https://api.github.com/repos/team/shop/commits/heads/feature/a%20b%3Fc%23d?per_page=1";
    aws.on(at, 200, described().to_string());
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(done.variables["BranchName"], "feature/a b?c#d");
    for name in ["shop", "team/", "/shop", "team/../other", "team/."] {
        task.configuration.insert("FullRepositoryId".into(), name.into());
        let error = failed(&registry(&aws), &task).await;
        assert!(error.message.contains("is no repository"), "{name}: {}", error.message);
    }
}

#[tokio::test]
async fn a_reference_names_repository_commit_and_connection() {
    let aws = github();
    succeeded(&registry(&aws), &source(&[("OutputArtifactFormat", "CODEBUILD_CLONE_REF")])).await;
    let reference: Value = serde_json::from_slice(&aws.stored(STORED).data).unwrap();
    let expected = json!({"sourceType": "GITHUB", "sourceLocation": "https://github.com/team/shop.git",
        "sourceVersion": COMMIT, "connectionArn": CONNECTION});
    assert_eq!(reference, expected);
    assert!(aws.calls(&zipball(COMMIT)).is_empty());
}

#[tokio::test]
async fn refusals_are_told_in_the_host_s_words_with_what_can_be_done() {
    let aws = github();
    for (status, code, advice) in [
        (401, "PermissionError", "The token is not valid, or not any more: it is in the secret"),
        (403, "PermissionError", "Let the token read the repository team/shop"),
        (404, "ConfigurationError", "There is no branch main of a repository team/shop, or the token may not read it"),
        (409, "ConfigurationError", "There is no branch main"),
        (418, "JobFailed", "GitHub answered 418"),
    ] {
        aws.on(BRANCH, status, r#"{"message": "the words of GitHub", "documentation_url": "d"}"#);
        let error = failed(&registry(&aws), &source(&[])).await;
        assert_eq!(error.code, code, "{status}");
        let said = format!(
            "GitHub answered {status} to GET https://api.github.com/repos/team/shop/commits/heads/main: the words of GitHub"
        );
        assert!(error.message.starts_with(&said) && error.message.contains(advice), "{}", error.message);
        assert_eq!(error.message.contains("millrace/connections/0a1b-2c3d"), status != 418, "{}", error.message);
        assert!(!error.message.contains(TOKEN), "{}", error.message);
    }
    for (status, headers) in [
        (403, &[("x-ratelimit-remaining", "0")][..]),
        (403, &[("retry-after", "60")]),
        (429, &[]),
        (500, &[]),
        (502, &[]),
    ] {
        aws.reply(BRANCH, move |_| answer(status, headers, "<html>"));
        let message = put_off(&registry(&aws), &source(&[])).await;
        assert!(message.contains(&format!("GitHub answered {status}")), "{message}");
    }
    let aws = github();
    aws.on(&zipball(COMMIT), 503, "");
    put_off(&registry(&aws), &source(&[])).await;
    aws.on(&zipball(COMMIT), 404, "");
    assert_eq!(failed(&registry(&aws), &source(&[])).await.code, "RevisionUnavailable");
    assert!(aws.calls("PutObject").is_empty());
}

#[tokio::test]
async fn half_an_answer_is_asked_for_again_and_a_strange_one_is_no_artifact() {
    let aws = github();
    aws.on(BRANCH, 200, r#"{"sha": "7fd1"#);
    assert!(put_off(&registry(&aws), &source(&[])).await.contains("is not the JSON"));
    aws.reply(BRANCH, |_| answer(200, &[("content-length", "9999")], described().to_string()));
    assert!(put_off(&registry(&aws), &source(&[])).await.contains("broke off"));
    for described in [json!({}), json!([]), json!({"sha": "../../x", "html_url": "u"}), json!({"sha": "abc"})] {
        aws.on(BRANCH, 200, described.to_string());
        assert_eq!(failed(&registry(&aws), &source(&[])).await.code, "JobFailed", "{described}");
    }

    let aws = github();
    let (whole, at) = (archive("team-shop-7fd1a60"), format!("GET {CODELOAD}"));
    let length = whole.len().to_string();
    let half = whole[..whole.len() / 2].to_vec();
    let promised = half.clone();
    aws.reply(&at, move |_| answer(200, &[("content-length", &length)], promised.clone()));
    assert!(put_off(&registry(&aws), &source(&[])).await.contains("could not be read to its end"));
    aws.on(&at, 200, half);
    assert!(failed(&registry(&aws), &source(&[])).await.message.contains("it was cut off on the way"));
    aws.on(&at, 200, "<html>");
    assert!(failed(&registry(&aws), &source(&[])).await.message.contains("it is a text file"));
    assert!(aws.calls("PutObject").is_empty());
}

#[tokio::test]
async fn a_connection_without_its_secret_says_how_to_make_one() {
    let aws = github();
    aws.fail("GetSecretValue", 400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
    let error = failed(&registry(&aws), &source(&[])).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("can't find the specified secret."), "{}", error.message);
    assert!(error.message.contains("the secret millrace/connections/0a1b-2c3d in eu-west-1"), "{}", error.message);
    assert!(error.message.contains("create this secret"), "{}", error.message);
    aws.fail(
        "GetSecretValue",
        400,
        "AccessDeniedException",
        "not authorized to perform: secretsmanager:GetSecretValue",
    );
    assert_eq!(failed(&registry(&aws), &source(&[])).await.code, "PermissionError");
    aws.fail("GetSecretValue", 500, "InternalServiceError", "Later.");
    put_off(&registry(&aws), &source(&[])).await;

    for value in [json!(TOKEN), json!({"token": TOKEN, "extra": 1}), json!({"providerType": TOKEN}), json!({})] {
        secret(&aws, &value);
        let error = failed(&registry(&aws), &source(&[])).await;
        assert!(error.message.contains("is not an object in JSON with token"), "{}", error.message);
        assert!(!error.message.contains(TOKEN), "{}", error.message);
    }
    for (value, why) in [
        (json!({"token": ""}), "is empty"),
        (json!({"token": "a\r\nb"}), "has characters that no token has"),
        (json!({"token": "t", "providerType": "GitHubEnterpriseServer"}), "needs an apiUrl"),
        (json!({"token": "t", "apiUrl": "http://github.example.com/api/v3"}), "begins with https://"),
        (json!({"token": "t", "apiUrl": "github.example.com"}), "begins with https://"),
    ] {
        secret(&aws, &value);
        let error = failed(&registry(&aws), &source(&[])).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(why), "{}", error.message);
    }
    let mut task = source(&[]);
    for arn in ["arn:aws:codestar-connections:eu-west-1:111122223333:host/1", "connection", "a:connection/../x"] {
        task.configuration.insert("ConnectionArn".into(), arn.into());
        assert!(failed(&registry(&aws), &task).await.message.contains("is not the ARN of a connection"), "{arn}");
    }
    assert!(aws.operations().iter().all(|operation| !operation.starts_with("GET ")), "nobody was asked");
}

#[tokio::test]
async fn github_enterprise_server_is_where_the_secret_says() {
    let aws = Aws::default();
    let api = "https://github.example.com/api/v3";
    secret(&aws, &json!({"token": "t", "providerType": "GitHubEnterpriseServer", "apiUrl": api}));
    let mut commit = described();
    commit["html_url"] = json!(format!("https://github.example.com/team/shop/commit/{COMMIT}"));
    aws.on(&format!("GET {api}/repos/team/shop/commits/heads/main?per_page=1"), 200, commit.to_string());
    let to = "https://codeload.github.example.com/team/shop/legacy.zip/main";
    aws.reply(&format!("GET {api}/repos/team/shop/zipball/{COMMIT}"), move |_| answer(302, &[("location", to)], ""));
    aws.on(&format!("GET {to}"), 200, archive("team-shop"));
    let done = succeeded(&registry(&aws), &source(&[])).await;
    assert_eq!(done.variables["ProviderType"], "GitHubEnterpriseServer");
    assert_eq!(unpacked(&aws.stored(STORED).data).len(), 2);
    succeeded(&registry(&aws), &source(&[("OutputArtifactFormat", "CODEBUILD_CLONE_REF")])).await;
    let reference: Value = serde_json::from_slice(&aws.stored(STORED).data).unwrap();
    assert_eq!(reference["sourceType"], "GITHUB_ENTERPRISE");
    assert_eq!(reference["sourceLocation"], "https://github.example.com/team/shop.git");
}

/// Source: GitLab REST API, 'Get a repository branch', 'Get a commit'.
#[tokio::test]
async fn gitlab_has_groups_in_groups_and_archives_without_redirects() {
    let aws = Aws::default();
    secret(&aws, &json!({"token": "t", "providerType": "GitLab"}));
    let api = "https://gitlab.com/api/v4/projects/team%2Fweb%2Fshop/repository";
    let commit = json!({"id": COMMIT, "message": "Faster start\n", "author_name": "Ann",
        "author_email": "ann@example.com", "authored_date": "2012-06-27T05:51:39-07:00",
        "committed_date": "2012-06-28T03:44:20.000-07:00",
        "web_url": format!("https://gitlab.com/team/web/shop/-/commit/{COMMIT}")});
    aws.on(&format!("GET {api}/branches/feature%2Fa"), 200, json!({"name": "feature/a", "commit": commit}).to_string());
    aws.on(&format!("GET {api}/commits/abc"), 200, commit.to_string());
    let archives = format!("GET {api}/archive.zip?sha={COMMIT}");
    aws.on(&archives, 200, archive("shop-7fd1a60"));
    let mut task = source(&[("BranchName", "feature/a"), ("FullRepositoryId", "team/web/shop")]);
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(authorization(&aws.calls(&archives)[0]), "Bearer t");
    assert_eq!(unpacked(&aws.stored(STORED).data).len(), 2);
    let variable = |name: &str| done.variables[name].as_str();
    assert_eq!((variable("AuthorDate"), variable("AuthorDisplayName")), ("2012-06-27T12:51:39Z", "Ann"));
    assert_eq!((variable("ProviderType"), variable("CommitMessage")), ("GitLab", "Faster start"));
    assert_eq!(done.revision.unwrap().created, Some(Timestamp(1_340_880_260_000)));
    task.configuration.insert("OutputArtifactFormat".into(), "CODEBUILD_CLONE_REF".into());
    let action = task.action.name.clone();
    task.overrides.push(RevisionOverride::new(action, "COMMIT_ID", "abc"));
    succeeded(&registry(&aws), &task).await;
    let reference: Value = serde_json::from_slice(&aws.stored(STORED).data).unwrap();
    assert_eq!(reference["sourceType"], "GITLAB");
    assert_eq!(reference["sourceLocation"], "https://gitlab.com/team/web/shop.git");
}

/// Source: Bitbucket Cloud REST API, 'Get a branch', 'Get a commit'.
#[tokio::test]
async fn bitbucket_has_its_archives_beside_its_api() {
    let aws = Aws::default();
    secret(&aws, &json!({"token": "t", "providerType": "Bitbucket"}));
    let api = "https://api.bitbucket.org/2.0/repositories/team/shop";
    let commit = json!({"hash": COMMIT, "message": "Faster start", "date": "2024-01-02T03:04:05+00:00",
        "author": {"raw": "Ann Example <ann@example.com>", "user": {"account_id": "557058:a"}},
        "links": {"html": {"href": format!("https://bitbucket.org/team/shop/commits/{COMMIT}")}}});
    aws.on(&format!("GET {api}/refs/branches/main"), 200, json!({"target": commit}).to_string());
    aws.on(&format!("GET {api}/commit/abc"), 200, commit.to_string());
    let archives = format!("GET https://bitbucket.org/team/shop/get/{COMMIT}.zip");
    aws.on(&archives, 200, archive("team-shop-7fd1a60"));
    let done = succeeded(&registry(&aws), &source(&[])).await;
    assert_eq!(unpacked(&aws.stored(STORED).data).len(), 2);
    let variable = |name: &str| done.variables[name].as_str();
    assert_eq!((variable("AuthorDisplayName"), variable("AuthorEmail")), ("Ann Example", "ann@example.com"));
    assert_eq!((variable("AuthorId"), variable("AuthorDate")), ("557058:a", "2024-01-02T03:04:05Z"));
    let done = succeeded(&registry(&aws), &prescribed("COMMIT_ID", "abc")).await;
    assert_eq!(done.revision.unwrap().id, COMMIT);
    aws.on(&format!("GET {api}/refs/branches/main"), 404, r#"{"error": {"message": "Branch not found"}}"#);
    assert!(failed(&registry(&aws), &source(&[])).await.message.contains(": Branch not found."));
}

#[test]
fn it_watches_its_repository_through_its_connection_whatever_the_branch() {
    let info = providers::find(&source(&[]).action).unwrap().source.unwrap();
    assert!(info.events.is_none(), "EventBridge hears of nothing");
    let watched = (info.watched)(&source(&[]).action, "eu-west-1").unwrap();
    let configuration = &source(&[]).configuration;
    let id = configuration["ConnectionArn"].rsplit('/').next().unwrap();
    assert_eq!(watched, providers::connected(id, &configuration["FullRepositoryId"].to_uppercase()));
    let takes = |kind: &str| (info.takes_revision)(&BTreeMap::new(), kind);
    assert!(takes("COMMIT_ID").is_ok() && takes("S3_OBJECT_VERSION_ID").is_err());
}

fn event(change: GitChange) -> GitEvent {
    let (repository, commit) = ("team/shop".to_owned(), "new1".to_owned());
    GitEvent { repository, change, commit, message: String::new(), author: String::new(), files: None }
}

/// Which files differ, as each host compares two commits, or lists the files of a pull request page by page.
#[tokio::test]
async fn each_host_is_asked_which_files_differ() {
    let push = || event(GitChange::Branch { name: "main".into(), before: Some("old1".into()) });
    let request = || {
        let (title, source, target) = ("Better".into(), "topic".into(), "main".into());
        event(GitChange::PullRequest(PullRequest { event: PullRequestEvent::Open, number: 7, title, source, target }))
    };
    let (github, gitlab) = ("https://api.github.com/repos/team/shop", "https://gitlab.com/api/v4/projects/team%2Fshop");
    let bitbucket = "https://api.bitbucket.org/2.0/repositories/team/shop";
    let renamed = |new: &str, old: &str| match new {
        "filename" => json!([{"filename": "b", "status": "modified"}, {"filename": "c", "previous_filename": "a"}]),
        "path" => {
            json!([{"new": {"path": "b"}, "old": {"path": "b"}}, {"new": {"path": "c"}, "old": {"path": "a"}}, {"new": null, "old": {"path": "b"}}])
        }
        _ => json!([{(new): "b", (old): "b"}, {(new): "c", (old): "a"}]),
    };
    for (kind, event, address, body) in [
        (
            "GitHub",
            push(),
            format!("{github}/compare/old1...new1?per_page=100&page=1"),
            json!({"files": renamed("filename", "")}),
        ),
        ("GitHub", request(), format!("{github}/pulls/7/files?per_page=100&page=1"), renamed("filename", "")),
        (
            "GitLab",
            push(),
            format!("{gitlab}/repository/compare?from=old1&to=new1&per_page=100&page=1"),
            json!({"diffs": renamed("new_path", "old_path")}),
        ),
        (
            "GitLab",
            request(),
            format!("{gitlab}/merge_requests/7/diffs?per_page=100&page=1"),
            renamed("new_path", "old_path"),
        ),
        (
            "Bitbucket",
            push(),
            format!("{bitbucket}/diffstat/new1..old1?pagelen=100&page=1"),
            json!({"values": renamed("path", "")}),
        ),
        (
            "Bitbucket",
            request(),
            format!("{bitbucket}/pullrequests/7/diffstat?pagelen=100&page=1"),
            json!({"values": renamed("path", "")}),
        ),
    ] {
        let aws = Aws::default();
        secret(&aws, &json!({"token": "t", "providerType": kind}));
        aws.on(&format!("GET {address}"), 200, body.to_string());
        let files = registry(&aws).changed_files(&source(&[]), &event).await.unwrap();
        assert_eq!(files, ["a", "b", "c"], "{address}");
        assert_eq!(authorization(&aws.calls(&format!("GET {address}"))[0]), "Bearer t");
        for (status, body) in [(404, r#"{"message": "Not Found"}"#), (200, "{}"), (502, "")] {
            aws.on(&format!("GET {address}"), status, body);
            assert!(registry(&aws).changed_files(&source(&[]), &event).await.is_err(), "{address} {status}");
        }
    }
}

#[tokio::test]
async fn of_a_pull_request_with_many_files_the_first_300_count() {
    let aws = Aws::default();
    secret(&aws, &json!({"token": "t"}));
    for page in 1..=3 {
        let files: Vec<Value> = (0..100).map(|number| json!({"filename": format!("{page}/{number}")})).collect();
        let address = format!("GET https://api.github.com/repos/team/shop/pulls/7/files?per_page=100&page={page}");
        aws.on(&address, 200, json!(files).to_string());
    }
    let (title, source_branch, target) = ("Better".into(), "topic".into(), "main".into());
    let request = PullRequest { event: PullRequestEvent::Open, number: 7, title, source: source_branch, target };
    let files = registry(&aws).changed_files(&source(&[]), &event(GitChange::PullRequest(request))).await.unwrap();
    assert_eq!(files.len(), 300);
}

#[tokio::test]
async fn an_execution_that_a_push_started_says_which_branch_it_was() {
    let aws = github();
    aws.on(
        &format!("GET https://api.github.com/repos/team/shop/commits/{COMMIT}?per_page=1"),
        200,
        described().to_string(),
    );
    for (change, branch) in [("refs/heads/feature/x", "feature/x"), ("refs/tags/v1", "main")] {
        let mut task = prescribed("COMMIT_ID", COMMIT);
        task.overrides[0].change = Some(change.into());
        assert_eq!(succeeded(&registry(&aws), &task).await.variables["BranchName"], branch, "{change}");
    }
}
