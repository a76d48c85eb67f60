//! `millrace role`: what the roles of a pipeline need, and what is done to make them so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use millrace::Account;
use millrace::role::Plan;
use pipeline::Pipeline;
use providers::permission::{Installed, RoleNeeds, role_needs};
use serde_json::{Value, json};
use testkit::Aws;

const OWN: &str = "arn:aws:iam::111122223333:role/pipelines/shop";
const DEPLOYER: &str = "arn:aws:iam::111122223333:role/deployer";

fn installed() -> Installed {
    let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
    Installed {
        home: "eu-west-1".into(),
        account: "111122223333".into(),
        api: Some("a1b2".into()),
        connection_secrets: "millrace/connections/".into(),
        compute_project: "millrace-compute".into(),
        worker_role: role("worker"),
        replicator_role: role("replicator"),
        api_role: role("api"),
    }
}

fn action(name: &str, category: &str, provider: &str, configuration: Value, more: Value) -> Value {
    let id = json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"});
    let mut action = json!({"name": name, "actionTypeId": id, "configuration": configuration});
    action.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    action
}

fn needs(source_key: &str, actions: Vec<Value>, rules: &Value) -> Vec<RoleNeeds> {
    let source = action(
        "Fetch",
        "Source",
        "S3",
        json!({"S3Bucket": "source", "S3ObjectKey": source_key}),
        json!({"outputArtifacts": [{"name": "App"}]}),
    );
    let key = |region: &str| json!({"type": "KMS", "id": format!("arn:aws:kms:{region}:111122223333:key/k-{region}")});
    let store =
        |region: &str| json!({"type": "S3", "location": format!("store-{region}"), "encryptionKey": key(region)});
    let declaration = json!({
        "name": "shop", "roleArn": OWN, "pipelineType": "V2", "variables": [{"name": "Stage", "defaultValue": "test"}],
        "artifactStores": {"eu-west-1": store("eu-west-1"), "us-west-2": store("us-west-2")},
        "stages": [
            {"name": "Source", "actions": [source]},
            {"name": "Work", "actions": actions, "beforeEntry": {"conditions": [{"result": "FAIL", "rules": rules}]}},
        ],
    });
    let mut declaration: pipeline::Declaration = serde_json::from_value(declaration).unwrap();
    if rules.as_array().unwrap().is_empty() {
        declaration.stages[1].before_entry = None;
    }
    role_needs(&Pipeline::try_from(declaration).unwrap(), &installed())
}

fn site(more: Value) -> Value {
    let mut all = json!({"inputArtifacts": [{"name": "App"}]});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    action("Site", "Deploy", "S3", json!({"BucketName": "site", "Extract": "true", "ObjectKey": "web"}), all)
}

/// The resources on which a role may do something.
fn on(needs: &RoleNeeds, action: &str) -> Vec<String> {
    let statements = needs.statements.iter().filter(|statement| statement.actions.contains(action));
    statements.flat_map(|statement| statement.resources.iter().cloned()).collect()
}

#[test]
fn a_pipeline_with_one_role_needs_just_what_its_actions_name() {
    let all = needs("app.zip", vec![site(json!({}))], &json!([]));
    let [own] = all.as_slice() else { panic!("{all:#?}") };
    assert_eq!(own.arn, OWN);
    assert_eq!(on(own, "s3:GetObject"), ["arn:aws:s3:::source/app.zip", "arn:aws:s3:::store-eu-west-1/shop/App/*"]);
    assert_eq!(on(own, "s3:PutObject"), ["arn:aws:s3:::site/web/*", "arn:aws:s3:::store-eu-west-1/shop/App/*"]);
    let keys = on(own, "kms:GenerateDataKey");
    assert!(keys.contains(&"arn:aws:kms:eu-west-1:111122223333:key/k-eu-west-1".to_owned()), "{keys:?}");
    let kms = own.statements.iter().filter(|it| it.actions.contains("kms:Decrypt"));
    assert!(kms.clone().count() > 0 && kms.clone().all(|it| !it.conditions.is_empty()), "keys serve S3 alone");
    let trust = own.trust_policy();
    assert_eq!(trust["Statement"].as_array().unwrap().len(), 1);
    assert_eq!(trust["Statement"][0]["Principal"]["AWS"], json!(["arn:aws:iam::111122223333:role/worker"]));
    let id = "arn:aws:codepipeline:eu-west-1:111122223333:shop";
    assert_eq!(trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"], id);
}

#[test]
fn a_variable_is_a_star() {
    let deploy = action(
        "Site",
        "Deploy",
        "S3",
        json!({"BucketName": "site", "Extract": "false", "ObjectKey": "#{variables.Stage}/{uuid}.zip"}),
        json!({"inputArtifacts": [{"name": "App"}]}),
    );
    let all = needs("app.zip", vec![deploy], &json!([]));
    assert!(on(&all[0], "s3:PutObject").contains(&"arn:aws:s3:::site/*/*.zip".to_owned()), "{all:#?}");
}

#[test]
fn an_action_s_own_role_trusts_the_pipeline_s_and_has_its_rights() {
    let all = needs("app.zip", vec![site(json!({"roleArn": DEPLOYER}))], &json!([]));
    let [own, deployer] = all.as_slice() else { panic!("{all:#?}") };
    assert_eq!(on(own, "sts:AssumeRole"), [DEPLOYER]);
    assert!(!on(own, "s3:PutObject").iter().any(|it| it.contains("site")), "{own:#?}");
    assert_eq!(on(deployer, "s3:PutObject"), ["arn:aws:s3:::site/web/*"]);
    assert_eq!(on(deployer, "s3:GetObject"), ["arn:aws:s3:::store-eu-west-1/shop/App/*"]);
    assert_eq!(deployer.trust_policy()["Statement"][0]["Principal"]["AWS"], json!([OWN]));
}

#[test]
fn a_copy_to_another_region_is_made_by_the_replicator_as_the_pipeline_s_role() {
    let all = needs("app.zip", vec![site(json!({"region": "us-west-2"}))], &json!([]));
    assert!(on(&all[0], "s3:PutObject").contains(&"arn:aws:s3:::store-us-west-2/shop/App/*".to_owned()));
    let keys = on(&all[0], "kms:GenerateDataKey");
    assert!(keys.contains(&"arn:aws:kms:us-west-2:111122223333:key/k-us-west-2".to_owned()), "{keys:?}");
    let trusted = all[0].trust_policy()["Statement"][0]["Principal"]["AWS"].to_string();
    assert!(trusted.contains("role/replicator"), "{trusted}");
}

#[test]
fn rules_of_conditions_jobs_and_builds_count_too() {
    let function = action(
        "Check",
        "Invoke",
        "Lambda",
        json!({"FunctionName": "check"}),
        json!({"inputArtifacts": [{"name": "App"}]}),
    );
    let commands = action(
        "Test",
        "Compute",
        "Commands",
        json!({}),
        json!({
            "inputArtifacts": [{"name": "App"}], "commands": ["make test"],
            "environmentVariables": [{"name": "TOKEN", "value": "shop/token:key", "type": "SECRETS_MANAGER"}],
        }),
    );
    let id = json!({"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"});
    let rule = json!({"name": "Calm", "ruleTypeId": id, "configuration": {"AlarmName": "errors"}});
    let all = needs("app.zip", vec![function, commands], &json!([rule]));
    let [own] = all.as_slice() else { panic!("{all:#?}") };
    assert_eq!(on(own, "cloudwatch:DescribeAlarms"), ["*"]);
    assert_eq!(on(own, "lambda:InvokeFunction"), ["arn:aws:lambda:eu-west-1:111122223333:function:check"]);
    assert_eq!(on(own, "codebuild:StartBuild"), ["arn:aws:codebuild:eu-west-1:111122223333:project/millrace-compute"]);
    assert_eq!(on(own, "iam:PassRole"), [OWN]);
    let secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/token-??????";
    assert_eq!(on(own, "secretsmanager:GetSecretValue"), [secret]);
    assert_eq!(own.beside, ["Test: the role needs whatever the commands do"]);
    let trust = own.trust_policy();
    assert!(trust["Statement"][0]["Principal"]["AWS"].to_string().contains("role/api"), "{trust}");
    assert_eq!(trust["Statement"][1]["Principal"]["Service"], "codebuild.amazonaws.com");
    let projects = &trust["Statement"][1]["Condition"]["ArnLike"]["aws:SourceArn"];
    assert_eq!(*projects, json!(["arn:aws:codebuild:eu-west-1:111122223333:*/millrace-compute*"]));
}

fn result(operation: &str, content: &str) -> String {
    format!("<{operation}Response><{operation}Result>{content}</{operation}Result></{operation}Response>")
}

fn encoded(document: &Value) -> String {
    document.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// IAM with a role of this trust policy and these inline policies.
fn iam(trust: &Value, policies: &[(&'static str, Value)]) -> Aws {
    let aws = Aws::default();
    let role = format!(
        "<Role><Path>/pipelines/</Path><RoleName>shop</RoleName><RoleId>R</RoleId><Arn>{OWN}</Arn>\
         <CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument></Role>",
        encoded(trust)
    );
    aws.on("GetRole", 200, result("GetRole", &role));
    let names: String = policies.iter().map(|(name, _)| format!("<member>{name}</member>")).collect();
    let names = format!("<PolicyNames>{names}</PolicyNames><IsTruncated>false</IsTruncated>");
    aws.on("ListRolePolicies", 200, result("ListRolePolicies", &names));
    let policies: Vec<(&str, String)> = policies.iter().map(|(name, policy)| (*name, encoded(policy))).collect();
    aws.reply("GetRolePolicy", move |call| {
        let text = call.text();
        let (name, document) = policies.iter().find(|(name, _)| text.contains(&format!("PolicyName={name}"))).unwrap();
        let content = format!(
            "<RoleName>shop</RoleName><PolicyName>{name}</PolicyName><PolicyDocument>{document}</PolicyDocument>"
        );
        (200, std::collections::BTreeMap::new(), result("GetRolePolicy", &content).into_bytes())
    });
    for operation in ["UpdateAssumeRolePolicy", "PutRolePolicy", "DeleteRolePolicy", "CreateRole"] {
        aws.on(operation, 200, format!("<{operation}Response/>"));
    }
    aws
}

async fn plan(aws: &Aws, needs: &[RoleNeeds]) -> anyhow::Result<Plan> {
    Plan::new(&Account::new(aws.config()).unwrap(), &installed(), "shop", needs).await
}

#[tokio::test]
async fn a_role_that_is_missing_is_made_with_its_path() {
    let needs = needs("app.zip", vec![site(json!({}))], &json!([]));
    let aws = iam(&json!({}), &[]);
    let missing = "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>gone</Message></Error></ErrorResponse>";
    aws.on("GetRole", 404, missing);
    let role = "<Role><Path>/</Path><RoleName>shop</RoleName><RoleId>R</RoleId><Arn>a</Arn>\
                <CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>";
    aws.on("CreateRole", 200, result("CreateRole", role));
    let plan = plan(&aws, &needs).await.unwrap();
    assert_eq!(plan.changes().collect::<Vec<_>>(), [format!("create the role {OWN} with 1 inline policy")]);
    assert!(aws.calls("CreateRole").is_empty(), "nothing is changed before somebody agrees");
    plan.carry_out(&Account::new(aws.config()).unwrap()).await.unwrap();
    let made = aws.calls("CreateRole")[0].text();
    assert!(made.contains("RoleName=shop&") && made.contains("Path=%2Fpipelines%2F"), "{made}");
    assert!(aws.calls("PutRolePolicy")[0].text().contains("PolicyName=millrace-1-shop"));
}

#[tokio::test]
async fn a_role_that_is_there_keeps_what_is_not_the_pipeline_s() {
    let needs = needs("app.zip", vec![site(json!({}))], &json!([]));
    let others = json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": "x"}, "Action": "sts:AssumeRole"}});
    let left = [
        ("millrace-1-shop", json!({})),
        ("millrace-2-shop", json!({})),
        ("millrace-1-shop-2", json!({})),
        ("own", json!({})),
    ];
    let aws = iam(&others, &left);
    let changed = plan(&aws, &needs).await.unwrap();
    changed.carry_out(&Account::new(aws.config()).unwrap()).await.unwrap();
    assert_eq!(changed.changes().count(), 3);
    let trust = aws.calls("UpdateAssumeRolePolicy")[0].text();
    assert!(trust.contains("%22x%22") && trust.contains("role%2Fworker"), "{trust}");
    assert_eq!(aws.calls("PutRolePolicy").len(), 1);
    let deleted: Vec<String> = aws.calls("DeleteRolePolicy").iter().map(testkit::Call::text).collect();
    assert!(matches!(deleted.as_slice(), [one] if one.ends_with("PolicyName=millrace-2-shop")), "{deleted:?}");

    let aws = iam(&needs[0].trust_policy(), &[("millrace-1-shop", needs[0].policy())]);
    assert_eq!(plan(&aws, &needs).await.unwrap().changes().count(), 0, "a second time there is nothing to do");
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_words() {
    let mut needs = needs("app.zip", vec![site(json!({}))], &json!([]));
    let resources = (0..400).map(|n| format!("arn:aws:s3:::a-bucket-with-a-name/object-{n}"));
    needs[0].statements.extend(providers::permission::Statement::new(&["s3:GetObject"], resources, Default::default()));
    let error = plan(&iam(&json!({}), &[]), &needs).await.unwrap_err().to_string();
    assert!(error.contains("10240 in all") && error.contains("managed policies"), "{error}");
    needs[0].arn = "arn:aws:iam::444455556666:role/theirs".into();
    let error = plan(&iam(&json!({}), &[]), &needs).await.unwrap_err().to_string();
    assert!(error.contains("belongs to the account 444455556666"), "{error}");
}
