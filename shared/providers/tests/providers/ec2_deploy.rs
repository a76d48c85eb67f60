use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::{Value, json};
use testkit::Aws;

use crate::{failed, recorded, refusals, registry, task};

const COMMAND: &str = "0b1a2c3d-4444-5555-6666-777788889999";
const SPEC: &str = "version: 0.1\nfiles:\n  - source: /index.html\n    destination: /www/\nscripts:\n  BeforeDeploy:\n    \
                    - location: bin/before.sh\n  AfterDeploy:\n    - location: /bin/after.sh\n      timeout: 5\n";

/// Scripts that say where they run, and fail if a file says so.
fn artifact() -> Vec<u8> {
    let script =
        |name: &str| format!("#!/bin/sh\necho {name} in $(basename \"$PWD\") $(ls)\n[ ! -f broken ] || exit 3\n");
    let (before, after) = (script("before"), script("after"));
    let files =
        [("index.html", "hello"), ("bin/before.sh", &before), ("bin/after.sh", &after), ("deployspec.yaml", SPEC)];
    write_zip(files).unwrap().to_vec()
}

fn with(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("InstanceTagKey", "Name"), ("InstanceTagValue", "web"), ("InstanceType", "EC2")];
    all.extend(configuration);
    Task { inputs: vec![recorded("App", &artifact())], ..task("Deploy", "EC2", &all) }
}

fn deploy(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("TargetDirectory", "/srv/it's here"), ("PostScript", "bin/after.sh")];
    all.extend(configuration);
    with(&all)
}

fn started() -> Task {
    Task { external: Some(External { id: COMMAND.into(), url: None }), ..deploy(&[]) }
}

fn command(what: Value) -> Value {
    let mut all =
        json!({"CommandId": COMMAND, "Status": "Pending", "TargetCount": 0, "CompletedCount": 0, "ErrorCount": 0});
    all.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    all
}

fn lists(aws: &Aws, commands: Value) {
    aws.on("ListCommands", 200, json!({"Commands": commands}).to_string());
}

fn manages(aws: &Aws, instances: Value) {
    aws.on("DescribeInstanceInformation", 200, json!({"InstanceInformationList": instances}).to_string());
}

fn instance(id: &str) -> Value {
    let kind = if id.starts_with("mi-") { "ManagedInstance" } else { "EC2Instance" };
    json!({"InstanceId": id, "ResourceType": kind, "PlatformType": "Linux"})
}

fn aws() -> Aws {
    let aws = Aws::default();
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &artifact());
    aws.checksummed("store-eu/shop/App/abcdefghijklmnop");
    manages(&aws, json!([instance("i-1"), instance("i-2")]));
    aws.on("SendCommand", 200, json!({"Command": command(json!({}))}).to_string());
    aws
}

async fn runs(aws: &Aws, task: &Task) -> External {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, event_source } => {
            assert_eq!(
                event_source.as_deref(),
                Some("aws.ssm"),
                "its events name commands by Systems Manager's own ids"
            );
            report.external.unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// The script that is sent to the instances.
async fn script(task: &Task) -> String {
    let aws = aws();
    runs(&aws, task).await;
    aws.calls("SendCommand")[0].json()["Parameters"]["commands"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_command_goes_to_the_instances_with_the_tag_in_batches() {
    let aws = aws();
    let mut task = deploy(&[("MaxBatch", "25%"), ("MaxError", "1")]);
    task.action_role = Some("arn:aws:iam::444455556666:role/deployer".into());
    let external = runs(&aws, &task).await;
    assert_eq!(external.id, COMMAND);
    let url = external.url.unwrap();
    assert!(url.ends_with(&format!("/systems-manager/run-command/{COMMAND}?region=eu-west-1")), "{url}");
    let call = &aws.calls("SendCommand")[0];
    assert_eq!((call.role.as_str(), call.region.as_str()), ("deployer", "eu-west-1"));
    let mut sent = call.json();
    sent["Parameters"].as_object_mut().unwrap().remove("commands").unwrap();
    assert_eq!(
        sent,
        json!({"DocumentName": "AWS-RunShellScript", "Targets": [{"Key": "tag:Name", "Values": ["web"]}],
            "Comment": format!("Millrace action execution {}", task.id), "MaxConcurrency": "25%", "MaxErrors": "1",
            "Parameters": {"executionTimeout": ["3600"]}})
    );
    let filters = &aws.calls("DescribeInstanceInformation")[0].json()["Filters"];
    assert_eq!(*filters, json!([{"Key": "tag:Name", "Values": ["web"]}]));
    let any = deploy(&[("InstanceTagValue", "")]);
    runs(&aws, &Task { region: "us-west-2".into(), ..any }).await;
    let call = &aws.calls("SendCommand")[1];
    assert_eq!(call.json()["Targets"], json!([{"Key": "tag-key", "Values": ["Name"]}]));
    assert_eq!(call.region, "us-west-2");
    assert!(call.json().get("MaxConcurrency").is_none() && call.json().get("MaxErrors").is_none());
}

#[tokio::test]
async fn instances_of_another_type_with_the_same_tag_are_left_out() {
    let aws = aws();
    manages(&aws, json!([instance("i-1"), instance("mi-1"), instance("i-2")]));
    runs(&aws, &deploy(&[])).await;
    runs(&aws, &deploy(&[("InstanceType", "SSM_MANAGED_NODE")])).await;
    let sent: Vec<_> = aws.calls("SendCommand").iter().map(|call| call.json()["InstanceIds"].clone()).collect();
    assert_eq!(sent, [json!(["i-1", "i-2"]), json!(["mi-1"])]);
}

#[tokio::test]
async fn instances_that_a_command_cannot_reach_are_named_before_it_is_sent() {
    let many = |count: usize| -> Vec<Value> { (0..count).map(|n| instance(&format!("i-{n}"))).collect() };
    let mixed = [many(51), vec![instance("mi-1")]].concat();
    let windows = json!([{"InstanceId": "i-1", "ResourceType": "EC2Instance", "PlatformType": "Windows"}]);
    for (instances, expected) in [
        (json!([]), "the instances with the tag Name=web: Systems Manager manages none in eu-west-1"),
        (json!([instance("mi-1")]), "Systems Manager manages none in eu-west-1"),
        (windows, "i-1 of the instances with the tag Name=web does not run Linux"),
        (json!(many(501)), "they are more than 500"),
        (json!(mixed), "51 are of the InstanceType and 1 are not"),
    ] {
        let aws = aws();
        manages(&aws, instances);
        let error = failed(&registry(&aws), &deploy(&[])).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(expected), "{}", error.message);
        assert!(aws.calls("SendCommand").is_empty());
    }
}

#[tokio::test]
async fn the_action_ends_with_its_command() {
    let aws = aws();
    lists(
        &aws,
        json!([command(json!({"Status": "InProgress", "TargetCount": 4, "CompletedCount": 3, "ErrorCount": 1}))]),
    );
    let Outcome::Running { report, .. } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert_eq!(
        (report.summary.as_deref(), report.percent),
        (Some("3 of 4 instances are done, 1 of them failed"), Some(75))
    );
    assert_eq!(aws.calls("ListCommands")[0].json(), json!({"CommandId": COMMAND}));
    lists(&aws, json!([command(json!({"Status": "Success", "TargetCount": 4, "CompletedCount": 4}))]));
    let Outcome::Succeeded(done) = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert_eq!(done.report.summary.as_deref(), Some("4 of 4 instances are done"));
    // Fewer instances failed than MaxError allows; one that the command did not reach is no failed instance.
    for (unreached, succeeds) in [(0, true), (1, false)] {
        let how = json!({"Status": "Failed", "StatusDetails": "Incomplete", "TargetCount": 4, "CompletedCount": 4,
            "ErrorCount": 1, "DeliveryTimedOutCount": unreached});
        lists(&aws, json!([command(how)]));
        aws.on("ListCommandInvocations", 200, json!({"CommandInvocations": []}).to_string());
        let ended = registry(&aws).poll(&started()).await.unwrap();
        assert_eq!(matches!(ended, Outcome::Succeeded(_)), succeeds, "{ended:?}");
    }
    lists(&aws, json!([]));
    let message = registry(&aws).poll(&started()).await.unwrap_err().to_string();
    assert_eq!(
        message,
        format!("Systems Manager does not list the command {COMMAND}"),
        "it may have been sent just now"
    );
    let Outcome::Failed { error, .. } = registry(&aws).poll(&deploy(&[])).await.unwrap() else { panic!() };
    assert!(error.message.starts_with("Systems Manager has no command of this action"), "{}", error.message);
}

#[tokio::test]
async fn a_failure_says_which_instances_failed_and_what_they_printed_last() {
    let aws = aws();
    let how =
        json!({"Status": "Failed", "StatusDetails": "Failed", "TargetCount": 3, "CompletedCount": 3, "ErrorCount": 2});
    lists(&aws, json!([command(how)]));
    let invocation = |id: &str, status: &str| json!({"InstanceId": id, "Status": status});
    let all = [("i-1", "Success"), ("i-2", "Failed"), ("i-3", "TimedOut")].map(|(id, status)| invocation(id, status));
    aws.on("ListCommandInvocations", 200, json!({"CommandInvocations": all}).to_string());
    aws.reply("GetCommandInvocation", |call| {
        let printed: String = (1..=12).map(|n| format!("line {n}\n")).collect();
        let answer = match call.json()["InstanceId"].as_str().unwrap() {
            "i-2" => json!({"StatusDetails": "Failed", "ResponseCode": 3, "StandardOutputContent": "fine",
                "StandardErrorContent": printed}),
            _ => json!({"StatusDetails": "Delivery Timed Out", "ResponseCode": -1}),
        };
        (200, [].into(), answer.to_string().into_bytes())
    });
    let Outcome::Failed { error, report } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    let lines: String = (3..=12).map(|n| format!("\nline {n}")).collect();
    assert_eq!(error.code, "JobFailed");
    assert_eq!(
        error.message,
        format!(
            "The command {COMMAND} to the instances with the tag Name=web ended as Failed: 3 of 3 instances are done, 2 of them \
             failed\ni-2: Failed (exit code 3):{lines}\ni-3: Delivery Timed Out (exit code -1)"
        )
    );
    assert_eq!(report.external.unwrap().id, COMMAND);
    aws.fail("ListCommandInvocations", 400, "AccessDeniedException", "no");
    let Outcome::Failed { error, .. } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert!(error.message.ends_with("2 of them failed"), "the role need not be allowed to look: {}", error.message);
}

#[tokio::test]
async fn a_command_that_a_lost_worker_sent_is_found_by_its_comment() {
    let (aws, task) = (aws(), Task { reclaimed: true, ..deploy(&[]) });
    let comment = format!("Millrace action execution {}", task.id);
    let other = command(json!({"CommandId": "11111111-4444-5555-6666-777788889999", "Comment": "deploys by hand"}));
    lists(&aws, json!([other, command(json!({"Comment": comment}))]));
    assert_eq!(runs(&aws, &task).await.id, COMMAND);
    assert!(aws.calls("SendCommand").is_empty());
    let filters = aws.calls("ListCommands")[0].json()["Filters"].clone();
    let expected = json!([{"key": "InvokedAfter", "value": "2026-11-23T22:00:09Z"}, {"key": "DocumentName", "value": "AWS-RunShellScript"}]);
    assert_eq!(filters, expected, "none is older than the attempt, whatever the clocks say");
    lists(&aws, json!([other]));
    runs(&aws, &task).await;
    assert_eq!(aws.calls("SendCommand").len(), 1);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_is_refused_before_anything_is_asked() {
    for (task, expected) in [
        (with(&[]), "Deploy/EC2 action the-action needs TargetDirectory and PostScript, or DeploySpec"),
        (with(&[("TargetDirectory", "/srv")]), "Deploy/EC2 action the-action needs a value for PostScript"),
        (with(&[("PostScript", "a.sh")]), "Deploy/EC2 action the-action needs a value for TargetDirectory"),
        (deploy(&[("TargetDirectory", "srv")]), "TargetDirectory is \"srv\": it must begin with /"),
        (
            deploy(&[("DeploySpec", "deployspec.yaml")]),
            "TargetDirectory and DeploySpec have values: the file says all of it, or none",
        ),
        (deploy(&[("InstanceTagKey", "")]), "Deploy/EC2 action the-action needs a value for InstanceTagKey"),
        (deploy(&[("InstanceType", "ECS")]), "InstanceType is \"ECS\": it can be EC2 or SSM_MANAGED_NODE"),
        (
            deploy(&[("MaxBatch", "0")]),
            "MaxBatch is \"0\": it must be a number of instances from 1, or a percentage from 1% to 100%",
        ),
        (
            deploy(&[("MaxError", "all")]),
            "MaxError is \"all\": it must be a number of instances, or a percentage from 0% to 100%",
        ),
    ] {
        let aws = aws();
        let error = failed(&registry(&aws), &task).await;
        assert_eq!((error.code.as_str(), error.message.as_str()), ("ConfigurationError", expected));
        assert!(aws.operations().is_empty());
    }
    let aws = aws();
    let error = failed(&registry(&aws), &Task { inputs: Vec::new(), ..deploy(&[]) }).await;
    assert!(error.message.ends_with("needs an input artifact"), "{}", error.message);
    let error = failed(&registry(&aws), &with(&[("DeploySpec", "index.html")])).await;
    assert!(error.message.starts_with("the deploy spec file index.html cannot be used: "), "{}", error.message);
    let error = failed(&registry(&aws), &with(&[("DeploySpec", "none.yaml")])).await;
    assert!(error.message.contains("none.yaml"), "{}", error.message);
    assert!(aws.calls("SendCommand").is_empty());
}

#[tokio::test]
async fn what_systems_manager_refuses_is_told_in_its_words_and_what_passes_is_tried_again() {
    refusals(
        aws,
        |aws, operation, status, code| aws.fail(operation, status, code, "The words of SSM."),
        &deploy(&[]),
        "The words of SSM.",
        &[
            ("DescribeInstanceInformation", 400, "AccessDeniedException", Some("PermissionError")),
            ("DescribeInstanceInformation", 400, "ThrottlingException", None),
            ("SendCommand", 400, "InvalidInstanceId", Some("ConfigurationError")),
            ("SendCommand", 400, "AccessDeniedException", Some("PermissionError")),
            ("SendCommand", 400, "ThrottlingException", None),
            ("SendCommand", 400, "InternalServerError", None),
        ],
    )
    .await;
}

/// A folder that stands for an instance, on which this artifact can be fetched.
struct Instance(PathBuf);

impl Instance {
    fn new(name: &str, artifact: &[u8]) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ec2-{name}"));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::write(root.join("artifact"), artifact).unwrap();
        // The aws CLI, whose last argument is the file that it writes.
        let aws = format!(
            "#!/bin/sh\nfor last; do :; done\ncp {0}/artifact \"$last\"\necho \"$*\" >> {0}/asked\n",
            root.display()
        );
        std::fs::write(root.join("bin/aws"), aws).unwrap();
        std::fs::set_permissions(root.join("bin/aws"), PermissionsExt::from_mode(0o755)).unwrap();
        Self(root)
    }

    /// Runs a script there, with the folders of an instance below its own.
    fn run(&self, script: &str) -> Output {
        let mut script = script.to_owned();
        for folder in ["/var/lib/millrace", "/srv/", "'/www/"] {
            let quote = if folder.starts_with('\'') { "'" } else { "" };
            script = script.replace(folder, &format!("{quote}{}{}", self.0.display(), folder.trim_start_matches('\'')));
        }
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").unwrap());
        Command::new("sh").arg("-c").arg(script).env("PATH", path).output().unwrap()
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).unwrap()
    }
}

fn printed(output: &Output) -> (bool, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn an_instance_gets_the_artifact_and_runs_the_scripts_around_it_once() {
    let script = script(&deploy(&[("PreScript", "bin/before.sh")])).await;
    let instance = Instance::new("inline", &artifact());
    let (succeeded, text) = printed(&instance.run(&script));
    assert!(succeeded, "{text}");
    let expected = "millrace: bin/before.sh\nbefore in files bin deployspec.yaml index.html\nmillrace: bin/after.sh\n\
                    after in it's here bin deployspec.yaml index.html\nmillrace: done\n";
    assert_eq!(text, expected);
    assert_eq!(instance.read("srv/it's here/index.html"), "hello");
    assert!(
        instance.read("asked").starts_with("s3api get-object --region eu-west-1 --bucket store-eu --key shop/App/")
    );
    // The action is tried again: this instance was done.
    assert_eq!(printed(&instance.run(&script)), (true, "millrace: was done before\n".to_owned()));
    let left = std::fs::read_dir(instance.0.join("var/lib/millrace")).unwrap().count();
    assert_eq!(left, 1, "what was unpacked is gone");
}

#[tokio::test]
async fn an_instance_does_what_the_deploy_spec_says() {
    let script = script(&with(&[("DeploySpec", "deployspec.yaml")])).await;
    let instance = Instance::new("spec", &artifact());
    let (succeeded, text) = printed(&instance.run(&script));
    assert!(succeeded, "{text}");
    assert!(text.contains("before in files bin") && text.contains("after in files bin"), "{text}");
    let copied: Vec<_> = std::fs::read_dir(instance.0.join("www")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(copied, ["index.html"]);
}

#[tokio::test]
async fn an_instance_says_which_script_failed_and_takes_no_other_artifact() {
    let task = deploy(&[]);
    let script = script(&task).await;
    let instance = Instance::new("failing", &artifact());
    let target = instance.0.join("srv/it's here");
    std::fs::create_dir_all(&target).unwrap();
    std::fs::write(target.join("broken"), "").unwrap();
    let (succeeded, text) = printed(&instance.run(&script));
    assert!(!succeeded && text.ends_with("millrace: bin/after.sh ended with exit code 3\n"), "{text}");
    std::fs::remove_file(target.join("broken")).unwrap();
    assert!(printed(&instance.run(&script)).0, "it was not done before");
    let other = Instance::new("other", b"something else");
    let (succeeded, text) = printed(&other.run(&script));
    assert!(!succeeded && text.ends_with("millrace: the artifact is not the one that was recorded\n"), "{text}");
    let script = self::script(&deploy(&[("PostScript", "none.sh")])).await;
    let (succeeded, text) = printed(&Instance::new("missing", &artifact()).run(&script));
    assert!(!succeeded && text.ends_with("millrace: No such file: none.sh\n"), "{text}");
}
