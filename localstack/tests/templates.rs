//! What AWS demands of the templates and no emulator checks: a rule without a permission, a queue without a place for dead
//! letters or a deployment of yesterday's API would only be found in an account.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;
use sha2::{Digest, Sha256};
use testkit::Template;

/// The resource that a `Ref`, or a `GetAtt` of its ARN, points to.
fn target(value: &Value) -> Option<&str> {
    if let Some(name) = value.get("Ref") {
        return name.as_str();
    }
    value.get("Fn::GetAtt")?.as_str()?.strip_suffix(".Arn")
}

/// The function to which an alias leads.
fn function_of<'a>(template: &'a Template, alias: &str) -> &'a str {
    target(&template.resources[alias]["Properties"]["FunctionName"]).unwrap()
}

fn home() -> Template {
    Template::home()
}

fn region() -> Template {
    Template::region()
}

/// Rules, each with what it targets.
fn targets(template: &Template) -> BTreeSet<(&str, &str)> {
    template
        .of_type("Events::Rule")
        .flat_map(|(rule, properties)| properties["Targets"].as_sequence().unwrap().iter().map(move |it| (rule, it)))
        .map(|(rule, it)| (rule, target(&it["Arn"]).unwrap()))
        .collect()
}

#[test]
fn every_function_that_a_rule_targets_lets_the_rule_in() {
    let home = home();
    let mut allowed = BTreeSet::new();
    for (_, permission) in home.of_type("Lambda::Permission") {
        if permission["Principal"] == "events.amazonaws.com" {
            assert_eq!(permission["Action"], "lambda:InvokeFunction");
            allowed.insert((target(&permission["SourceArn"]).unwrap(), target(&permission["FunctionName"]).unwrap()));
        }
    }
    let needed: BTreeSet<_> = targets(&home).into_iter().filter(|(_, it)| home.is(it, "Lambda::Alias")).collect();
    assert!(!needed.is_empty());
    assert_eq!(needed, allowed);
}

#[test]
fn every_queue_that_a_rule_targets_lets_the_rule_in() {
    let home = home();
    let mut allowed = BTreeSet::new();
    for (_, policy) in home.of_type("SQS::QueuePolicy") {
        for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
            let rules = statement["Condition"]["ArnEquals"]["aws:SourceArn"].as_sequence();
            for rule in rules.into_iter().flatten() {
                assert_eq!(statement["Action"], "sqs:SendMessage");
                allowed.insert((target(rule).unwrap(), target(&statement["Resource"]).unwrap()));
            }
        }
    }
    let needed: BTreeSet<_> = targets(&home).into_iter().filter(|(_, it)| home.is(it, "SQS::Queue")).collect();
    assert!(!needed.is_empty());
    assert_eq!(needed, allowed);
}

#[test]
fn every_rule_leaves_what_it_cannot_deliver_in_a_queue_that_lets_it() {
    for template in [home(), region()] {
        for (rule, properties) in template.of_type("Events::Rule") {
            for each in properties["Targets"].as_sequence().unwrap() {
                let queue =
                    target(&each["DeadLetterConfig"]["Arn"]).unwrap_or_else(|| panic!("{rule} has no dead letters"));
                let lets = template.of_type("SQS::QueuePolicy").any(|(_, policy)| {
                    let queues = policy["Queues"].as_sequence().unwrap();
                    let statements = policy["PolicyDocument"]["Statement"].as_sequence().unwrap();
                    queues.iter().any(|it| target(it) == Some(queue))
                        && statements.iter().any(|it| it["Principal"]["Service"] == "events.amazonaws.com")
                });
                assert!(lets, "{queue} takes no letters from {rule}");
            }
        }
    }
}

/// The rules that give events of this kind to a target.
fn rules_for<'a>(template: &'a Template, source: &str, detail_type: &str, to: &str) -> Vec<&'a str> {
    let lists = |list: &Value, wanted: &str| list.as_sequence().is_some_and(|it| it.iter().any(|it| it == wanted));
    template
        .of_type("Events::Rule")
        .filter(|(_, rule)| {
            let pattern = &rule["EventPattern"];
            let targets = rule["Targets"].as_sequence().unwrap();
            lists(&pattern["source"], source)
                && lists(&pattern["detail-type"], detail_type)
                && targets.iter().any(|it| target(&it["Arn"]) == Some(to))
        })
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn what_providers_want_to_hear_reaches_them_from_every_region() {
    let (home, region) = (home(), region());
    let mut forwarded = BTreeSet::new();
    for provider in providers::all() {
        if let Some(events) = provider.events {
            for kind in events.detail_types {
                assert_eq!(rules_for(&home, events.source, kind, "WorkerLive").len(), 1, "{kind}");
                // Our own events are of the home region alone.
                if events.source != "millrace" {
                    forwarded.insert((events.source, *kind));
                }
            }
        }
        if let Some(events) = provider.source.and_then(|source| source.events) {
            for kind in events.detail_types {
                assert_eq!(rules_for(&home, events.source, kind, "TriggerQueue").len(), 1, "{kind}");
                // Calls of all kinds come under one name: they have a rule that tells them apart.
                if *kind == "AWS API Call via CloudTrail" {
                    let calls = |template: &Template, rule: &str| {
                        template.resources[rule]["Properties"]["EventPattern"].clone()
                    };
                    let (heard, mut sent) = (calls(&home, "ObjectWrittenRule"), calls(&region, "ForwardWrites"));
                    assert!(sent.as_mapping_mut().unwrap().remove("region").is_some());
                    assert_eq!(heard, sent);
                } else {
                    forwarded.insert((events.source, *kind));
                }
            }
        }
    }
    let pattern = &region.resources["Forward"]["Properties"]["EventPattern"];
    let listed = |name: &str| -> BTreeSet<_> {
        pattern[name].as_sequence().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
    };
    assert_eq!(listed("source"), forwarded.iter().map(|(source, _)| *source).collect(), "no more and no less");
    assert_eq!(listed("detail-type"), forwarded.iter().map(|(_, kind)| *kind).collect(), "no more and no less");
}

#[test]
fn every_queue_of_work_has_dead_letters_and_every_dead_letter_an_alarm() {
    let home = home();
    let mut dead: BTreeSet<_> =
        home.of_type("Lambda::Function").filter_map(|(_, it)| target(&it["DeadLetterConfig"]["TargetArn"])).collect();
    for (queue, properties) in home.of_type("SQS::Queue") {
        match target(&properties["RedrivePolicy"]["deadLetterTargetArn"]) {
            Some(letters) => assert!(dead.insert(letters), "{letters} serves {queue} and others"),
            None => assert!(queue.ends_with("DeadLetters"), "{queue} has no dead letters"),
        }
    }
    let watched: BTreeSet<_> = home
        .of_type("CloudWatch::Alarm")
        .filter(|(_, alarm)| alarm["Dimensions"][0]["Name"] == "QueueName")
        .map(|(_, alarm)| {
            alarm["Dimensions"][0]["Value"]["Fn::GetAtt"].as_str().unwrap().trim_end_matches(".QueueName")
        })
        .collect();
    assert_eq!(dead, watched);
}

#[test]
fn every_reader_of_the_stream_and_whoever_does_work_is_watched() {
    let home = home();
    let watched: BTreeSet<_> = home
        .of_type("CloudWatch::Alarm")
        .filter(|(_, alarm)| alarm["Dimensions"][0]["Name"] == "FunctionName")
        .map(|(_, alarm)| (target(&alarm["Dimensions"][0]["Value"]).unwrap(), alarm["MetricName"].as_str().unwrap()))
        .collect();
    let readers = home.of_type("Lambda::EventSourceMapping").filter(|(_, it)| it.get("StartingPosition").is_some());
    for (_, reader) in readers {
        let reader = function_of(&home, target(&reader["FunctionName"]).unwrap());
        assert!(watched.contains(&(reader, "IteratorAge")), "{watched:?}");
    }
    for watch in [("WorkerFunction", "Errors"), ("WorkerFunction", "Throttles"), ("SweeperFunction", "Errors")] {
        assert!(watched.contains(&watch), "{watched:?}");
    }
    for (name, alarm) in home.of_type("CloudWatch::Alarm") {
        assert_eq!(alarm["AlarmActions"]["Fn::If"][0], "AlarmsAreHeard", "{name} tells nobody");
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
    }
}

#[test]
fn the_dashboard_is_json_and_shows_every_function_and_every_dead_letter() {
    let home = home();
    let (_, dashboard) = home.of_type("CloudWatch::Dashboard").next().unwrap();
    let body = dashboard["DashboardBody"]["Fn::Sub"].as_str().unwrap();
    let widgets: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(widgets["widgets"].as_array().unwrap().len() > 8);
    for (_, function) in home.of_type("Lambda::Function") {
        let name = function["FunctionName"]["Fn::Sub"].as_str().unwrap();
        assert!(body.contains(&format!("\"{name}\"")), "{name} is not shown");
    }
    for (queue, _) in home.of_type("SQS::Queue").filter(|(queue, _)| queue.ends_with("DeadLetters")) {
        assert!(body.contains(&format!("${{{queue}.QueueName}}")), "{queue} is not shown");
    }
}

#[test]
fn functions_that_are_invoked_asynchronously_do_not_lose_what_fails() {
    let home = home();
    // A user's own rules invoke the trigger.
    let invoked = targets(&home).into_iter().map(|(_, it)| it).chain(["TriggerLive"]);
    for alias in invoked.filter(|it| home.is(it, "Lambda::Alias")) {
        let function = function_of(&home, alias);
        let properties = &home.resources[function]["Properties"];
        assert!(target(&properties["DeadLetterConfig"]["TargetArn"]).is_some(), "{function} loses what fails");
    }
    for (_, mapping) in home.of_type("Lambda::EventSourceMapping") {
        let from_stream = mapping.get("StartingPosition").is_some();
        let function = &home.resources[function_of(&home, target(&mapping["FunctionName"]).unwrap())]["Properties"];
        if from_stream {
            assert!(target(&mapping["DestinationConfig"]["OnFailure"]["Destination"]).is_some());
            assert_eq!(mapping["BisectBatchOnFunctionError"], true);
        } else {
            // AWS refuses a queue that shows a message again while the function still works on it.
            let queue = &home.resources[target(&mapping["EventSourceArn"]).unwrap()]["Properties"];
            assert!(queue["VisibilityTimeout"].as_u64() >= function["Timeout"].as_u64());
        }
    }
}

#[test]
fn queues_bound_their_functions_and_nothing_is_reserved_by_default() {
    let home = home();
    for (name, mapping) in home.of_type("Lambda::EventSourceMapping") {
        let bound = mapping["ScalingConfig"]["Fn::If"][2]["MaximumConcurrency"]["Ref"].as_str();
        match target(&mapping["EventSourceArn"]).map(|it| home.is(it, "SQS::Queue")) {
            // Less than two and more than a thousand AWS refuses.
            Some(true) if ["AuditedCalls", "Ends", "ToTell"].contains(&name) => {
                assert_eq!(mapping["ScalingConfig"]["MaximumConcurrency"], 2)
            }
            Some(true) => {
                let parameter = &home.parameters[bound.unwrap_or_else(|| panic!("{name} has no bound"))];
                assert_eq!((parameter["MinValue"].as_u64(), parameter["MaxValue"].as_u64()), (Some(2), Some(1_000)));
            }
            // A stream's shards are its bound.
            _ => assert_eq!(bound, None, "{name}"),
        }
    }
    // A new account has ten concurrent executions and must leave all of them unreserved.
    assert_eq!(home.parameters["WorkerConcurrency"]["Default"], 0);
    let reserved = &home.resources["WorkerFunction"]["Properties"]["ReservedConcurrentExecutions"]["Fn::If"];
    assert_eq!((&reserved[0], &reserved[2]["Ref"]), (&"WorkersAreBounded".into(), &"AWS::NoValue".into()));
}

#[test]
fn every_function_has_a_role_and_a_log_group_of_its_own() {
    let home = home();
    let functions: Vec<_> = home.of_type("Lambda::Function").collect();
    assert_eq!(functions.len(), local::FUNCTIONS.len());
    let roles: BTreeSet<_> = functions.iter().map(|(_, it)| target(&it["Role"]).unwrap()).collect();
    assert_eq!(roles.len(), functions.len());
    for (name, properties) in functions {
        let logs = home.resources[name]["DependsOn"].as_str().unwrap();
        let group = &home.resources[logs]["Properties"];
        let expected = format!("/aws/lambda/{}", properties["FunctionName"]["Fn::Sub"].as_str().unwrap());
        assert_eq!(group["LogGroupName"]["Fn::Sub"], expected.as_str());
        assert_eq!(group["RetentionInDays"]["Ref"], "LogRetentionDays");
    }
}

#[test]
fn no_role_may_do_everything_anywhere() {
    for template in [home(), region()] {
        for (role, properties) in template.of_type("IAM::Role") {
            for policy in properties["Policies"].as_sequence().into_iter().flatten() {
                for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
                    let actions = serde_yaml_ng::to_string(&statement["Action"]).unwrap();
                    assert!(!actions.contains('*'), "{role} may do {actions}");
                    // The one action that knows no resources.
                    assert!(
                        statement["Resource"] != "*" || actions.contains("dynamodb:ListStreams"),
                        "{role}: {actions}"
                    );
                    if actions.contains("sts:AssumeRole") {
                        let external_id = statement["Condition"]["StringLike"]["sts:ExternalId"]["Fn::Sub"].as_str();
                        assert!(external_id.unwrap().ends_with(":codepipeline:${AWS::Region}:${AWS::AccountId}:*"));
                        let roles = statement["Resource"]["Fn::Sub"].as_str().unwrap();
                        assert!(roles.ends_with(":role/${RoleNames}"), "{role} may assume {roles}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_role_of_the_compute_project_may_do_nothing() {
    let region = region();
    let (_, project) = region.of_type("CodeBuild::Project").next().unwrap();
    let role = &region.resources[target(&project["ServiceRole"]).unwrap()]["Properties"];
    assert!(role.get("Policies").is_none() && role.get("ManagedPolicyArns").is_none(), "{role:?}");
    let name = |template: &Template| template.parameters["ComputeProject"]["Default"].clone();
    assert_eq!(name(&region), name(&home()), "functions look for it under its name");
    assert_eq!(name(&region), local::COMPUTE_PROJECT);
}

#[test]
fn only_the_api_writes_what_pipelines_are() {
    let home = home();
    let writes = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQL"];
    let bound: Vec<String> = store::EXECUTION_PARTITIONS.iter().map(|prefix| format!("{prefix}*")).collect();
    let mut writers = BTreeSet::new();
    for (role, properties) in home.of_type("IAM::Role") {
        for policy in properties["Policies"].as_sequence().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
                let actions = serde_yaml_ng::to_string(&statement["Action"]).unwrap();
                if !writes.iter().any(|write| actions.contains(write)) {
                    continue;
                }
                writers.insert(role);
                assert!(!["Get", "Query"].iter().any(|read| actions.contains(read)), "{role}: {actions}");
                assert_eq!(target(&statement["Resource"]), Some("Table"), "{role}");
                let keys = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"].as_sequence();
                let keys: Option<Vec<_>> = keys.map(|it| it.iter().map(|it| it.as_str().unwrap()).collect());
                match role {
                    "ApiRole" => assert_eq!(keys, None),
                    "AuditorRole" => assert_eq!(keys.unwrap(), [format!("{}*", store::AUDIT_PARTITION)]),
                    // Whoever comes through the unsigned door gets no further.
                    "WebhookRole" => assert_eq!(keys.unwrap(), [format!("{}*", store::WEBHOOK_PARTITION)]),
                    "NotifierRole" => assert_eq!(keys.unwrap(), [format!("{}*", store::NOTICE_PARTITION)]),
                    _ => assert_eq!(keys.unwrap(), bound, "{role}"),
                }
            }
        }
    }
    let expected = [
        "ApiRole",
        "WorkerRole",
        "TriggerRole",
        "WebhookRole",
        "ApprovalRole",
        "SweeperRole",
        "AuditorRole",
        "NotifierRole",
    ];
    assert_eq!(writers, BTreeSet::from(expected));
}

#[test]
fn the_audit_log_is_locked_and_only_the_auditor_continues_it() {
    let home = home();
    let resource = &home.resources["AuditLog"];
    assert_eq!((&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]), (&"Retain".into(), &"Retain".into()));
    let bucket = &resource["Properties"];
    assert_eq!(bucket["ObjectLockEnabled"], true);
    let retention = &bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"];
    assert_eq!(
        (&retention["Mode"]["Ref"], &retention["Days"]["Ref"]),
        (&"AuditLockMode".into(), &"AuditLockDays".into())
    );
    assert_eq!(home.parameters["AuditLockMode"]["Default"], "GOVERNANCE");
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    assert!(bucket["PublicAccessBlockConfiguration"].as_mapping().unwrap().values().all(|it| *it == true));
    let encryption =
        &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"];
    assert_eq!(encryption["SSEAlgorithm"], "aws:kms");
    // Nobody may remove anything, nor change how long it is kept, and one role may put.
    let mut allowed = BTreeSet::new();
    for (role, properties) in home.of_type("IAM::Role") {
        for policy in properties["Policies"].as_sequence().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
                let actions = statement["Action"].as_sequence().into_iter().flatten().map(|it| it.as_str().unwrap());
                let of_s3 = actions.filter(|it| it.starts_with("s3:")).map(|it| (role, it));
                allowed.extend(of_s3);
            }
        }
    }
    assert_eq!(allowed, BTreeSet::from([("AuditorRole", "s3:GetObject"), ("AuditorRole", "s3:PutObject")]));
    let (_, policy) = home.of_type("S3::BucketPolicy").next().unwrap();
    let statements = policy["PolicyDocument"]["Statement"].as_sequence().unwrap();
    let denied = |sid: &str| {
        let statement = statements.iter().find(|it| it["Sid"] == sid).unwrap();
        assert_eq!((&statement["Effect"], &statement["Principal"]), (&"Deny".into(), &"*".into()));
        assert_eq!(statement["Action"], "s3:PutObject");
        assert_eq!(statement["Resource"]["Fn::Sub"], "${AuditLog.Arn}/*");
        &statement["Condition"]
    };
    let others = denied("OnlyTheAuditorWrites");
    assert_eq!(target(&others["ArnNotEquals"]["aws:PrincipalArn"]), Some("AuditorRole"));
    assert_eq!(denied("NothingIsPutOver")["Null"]["s3:if-none-match"], "true");
}

#[test]
fn secrets_are_opened_by_those_who_use_them_alone_and_only_as_whose_they_are() {
    let home = home();
    assert_eq!(home.resources["SecretsKey"]["Properties"]["EnableKeyRotation"], true);
    let mut allowed = BTreeSet::new();
    for (role, properties) in home.of_type("IAM::Role") {
        for policy in properties["Policies"].as_sequence().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
                let actions = statement["Action"].as_sequence().into_iter().flatten().map(|it| it.as_str().unwrap());
                let actions: Vec<_> = actions.filter(|it| it.starts_with("kms:") && !it.ends_with("Mac")).collect();
                if actions.is_empty() {
                    continue;
                }
                assert_eq!(target(&statement["Resource"]), Some("SecretsKey"), "{role}");
                let keys =
                    statement["Condition"]["ForAllValues:StringEquals"]["kms:EncryptionContextKeys"].as_sequence();
                let keys: Vec<_> = keys.unwrap().iter().map(|it| it.as_str().unwrap()).collect();
                // Without a context, all of its keys are among those.
                assert_eq!(statement["Condition"]["Null"]["kms:EncryptionContextKeys"], "false", "{role}");
                allowed.insert((role, actions.join(" "), keys.join(" ")));
            }
        }
    }
    let own = |role, actions: &str, keys: &str| (role, actions.to_owned(), keys.to_owned());
    let expected = [
        own("ApiRole", "kms:GenerateDataKey kms:Decrypt", "pipeline webhook"),
        own("WorkerRole", "kms:Decrypt", "pipeline"),
        own("WebhookRole", "kms:Decrypt", "webhook"),
    ];
    assert_eq!(allowed, BTreeSet::from(expected));
}

#[test]
fn who_signs_or_checks_links_to_pictures_has_nothing_to_do_with_approvals() {
    let home = home();
    let mut allowed = BTreeSet::new();
    for (role, properties) in home.of_type("IAM::Role") {
        for policy in properties["Policies"].as_sequence().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
                for action in statement["Action"].as_sequence().into_iter().flatten() {
                    let action = action.as_str().unwrap();
                    if action.starts_with("kms:") && action.ends_with("Mac") {
                        assert_eq!(statement["Condition"]["StringEquals"]["kms:MacAlgorithm"], "HMAC_SHA_256");
                        allowed.insert((target(&statement["Resource"]).unwrap(), action, role));
                    }
                }
            }
        }
    }
    let expected = [
        ("ApprovalKey", "kms:GenerateMac", "ApiRole"),
        ("ApprovalKey", "kms:GenerateMac", "WorkerRole"),
        ("ApprovalKey", "kms:VerifyMac", "ApprovalRole"),
        ("BadgeKey", "kms:GenerateMac", "ConsoleRole"),
        ("BadgeKey", "kms:VerifyMac", "BadgeRole"),
    ];
    assert_eq!(allowed, BTreeSet::from(expected));
}

#[test]
fn on_aws_callers_are_always_asked_about_when_they_pass_roles() {
    let home = home();
    let environment = &home.resources["ApiFunction"]["Properties"]["Environment"]["Variables"];
    let chosen: Vec<_> = environment["MILLRACE_PASS_ROLE"]["Fn::If"]
        .as_sequence()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    assert_eq!(chosen, ["OnEmulator", "unchecked", "checked"]);
    assert_eq!(environment["MILLRACE_ROLE_NAMES"]["Ref"], "RoleNames");
}

#[test]
fn operations_are_called_on_signed_paths_and_only_approvals_webhooks_and_public_pictures_are_open() {
    let home = home();
    let (_, api) = home.of_type("ApiGateway::RestApi").next().unwrap();
    let paths = api["Body"]["paths"].as_mapping().unwrap();
    let named: Vec<_> = paths.keys().map(|path| path.as_str().unwrap()).collect();
    let expected = [
        "/",
        "/approve",
        "/webhooks/{proxy+}",
        "/badges/{proxy+}",
        "/console",
        "/console/check/{pipeline}",
        "/console/{proxy+}",
        "/pipelines/{pipeline}/{operation}",
        "/service/CodePipeline_20150709/operation/{operation}",
    ];
    assert_eq!(named, expected);
    let open = BTreeMap::from([
        ("/approve", "ApprovalFunction"),
        ("/webhooks/{proxy+}", "WebhookFunction"),
        ("/badges/{proxy+}", "BadgeFunction"),
    ]);
    for (path, methods) in paths {
        let path = path.as_str().unwrap();
        for (method, operation) in methods.as_mapping().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            let signed = operation["security"].as_sequence().unwrap().iter().any(|it| it.get("sigv4").is_some());
            assert_eq!(signed, !open.contains_key(path), "{path}");
            assert_eq!(operation["x-amazon-apigateway-integration"]["type"], "aws_proxy", "{path}");
            let uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"].as_str().unwrap();
            let console = path.starts_with("/console");
            let signed_door = if console { "ConsoleFunction" } else { "ApiFunction" };
            let function = open.get(path).copied().unwrap_or(signed_door);
            let name = home.resources[function]["Properties"]["FunctionName"]["Fn::Sub"].as_str().unwrap();
            assert!(uri.ends_with(&format!(":function:{name}:live/invocations")), "{path}");
            // Of the console's, only what checks a text takes one.
            let reads = console && !path.starts_with("/console/check/");
            assert!(!signed || method == if reads { "get" } else { "post" }, "{path} answers {method:?}");
        }
    }
    assert_eq!(home.parameters["JsonOnRoot"]["Default"], "false", "on / a policy cannot tell operations apart");
    assert_eq!(api["BinaryMediaTypes"][0], "application/cbor");
    let (_, stage) = home.of_type("ApiGateway::Stage").next().unwrap();
    let throttled = stage["MethodSettings"].as_sequence().unwrap();
    let paths: BTreeSet<_> =
        throttled.iter().map(|it| it["ResourcePath"].as_str().unwrap().replace("~1", "/")).collect();
    assert_eq!(paths, open.keys().map(|path| format!("/{path}")).collect());
    assert_eq!(throttled.len(), 4);
}

#[test]
fn access_logs_say_who_called_what_and_never_with_which_link() {
    let home = home();
    let (_, stage) = home.of_type("ApiGateway::Stage").next().unwrap();
    let chosen = stage["AccessLogSetting"]["Fn::If"].as_sequence().unwrap();
    // An account without the role that API Gateway needs for it could not be deployed to.
    assert_eq!((&chosen[0], &chosen[2]["Ref"]), (&"AccessIsLogged".into(), &"AWS::NoValue".into()));
    assert_eq!(home.parameters["AccessLogs"]["Default"], "false");
    assert_eq!(target(&chosen[1]["DestinationArn"]), Some("AccessLogGroup"));
    let format: BTreeMap<String, String> = serde_json::from_str(chosen[1]["Format"].as_str().unwrap()).unwrap();
    let variables: BTreeSet<_> = format.values().map(String::as_str).collect();
    let expected = [
        "$context.error.responseType",
        "$context.httpMethod",
        "$context.identity.sourceIp",
        "$context.identity.userArn",
        "$context.path",
        "$context.requestId",
        "$context.requestTime",
        "$context.responseLatency",
        "$context.status",
    ];
    assert_eq!(variables, BTreeSet::from(expected), "none that holds a query");
}

#[test]
fn all_doors_are_open_to_api_gateway() {
    let home = home();
    let allowed: BTreeSet<_> = home
        .of_type("Lambda::Permission")
        .filter(|(_, it)| it["Principal"] == "apigateway.amazonaws.com")
        .map(|(_, it)| {
            assert!(it["SourceArn"]["Fn::Sub"].as_str().unwrap().contains(":${RestApi}/"));
            target(&it["FunctionName"]).unwrap()
        })
        .collect();
    assert_eq!(allowed, BTreeSet::from(["ApiLive", "WebhookLive", "ApprovalLive", "ConsoleLive", "BadgeLive"]));
}

#[test]
fn a_changed_api_is_deployed() {
    let home = home();
    let (_, api) = home.of_type("ApiGateway::RestApi").next().unwrap();
    let body = serde_yaml_ng::to_string(&api["Body"]).unwrap();
    let hash = hex::encode(&Sha256::digest(body)[..4]);
    let names: Vec<_> = home.of_type("ApiGateway::Deployment").map(|(name, _)| name).collect();
    assert_eq!(names, [format!("Deployment{hash}")], "RestApi's Body has changed: rename the deployment");
    assert_eq!(home.text.matches(&names[0]).count(), 2, "the stage takes it");
}

#[test]
fn state_and_artifacts_are_kept_encrypted_and_recoverable() {
    let home = home();
    let (_, table) = home.of_type("DynamoDB::Table").next().unwrap();
    assert_eq!(table["SSESpecification"]["SSEEnabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["DeletionProtectionEnabled"], true);
    let region = region();
    let (name, bucket) = region.of_type("S3::Bucket").next().unwrap();
    let encryption =
        &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"];
    assert_eq!(encryption["SSEAlgorithm"], "aws:kms");
    assert_eq!(target(&encryption["KMSMasterKeyID"]), Some("ArtifactKey"));
    assert!(bucket["PublicAccessBlockConfiguration"].as_mapping().unwrap().values().all(|it| *it == true));
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    let keys = [&home, &region]
        .into_iter()
        .flat_map(|template| template.of_type("KMS::Key").map(|(key, _)| &template.resources[key]).collect::<Vec<_>>());
    let kept: Vec<_> = [&home.resources["Table"], &region.resources[name]].into_iter().chain(keys).collect();
    assert!(kept.len() >= 5, "the table, the bucket and all keys");
    for resource in kept {
        assert_eq!(resource["DeletionPolicy"], "Retain");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain");
    }
}

#[test]
fn queues_and_buckets_are_reached_by_tls_only() {
    for template in [home(), region()] {
        for (kind, policy, list) in
            [("SQS::Queue", "SQS::QueuePolicy", "Queues"), ("S3::Bucket", "S3::BucketPolicy", "Bucket")]
        {
            for (name, _) in template.of_type(kind) {
                let policies: Vec<_> = template
                    .of_type(policy)
                    .filter(|(_, it)| match &it[list] {
                        Value::Sequence(all) => all.iter().any(|each| target(each) == Some(name)),
                        one => target(one) == Some(name),
                    })
                    .collect();
                // Of two policies of one queue, AWS keeps the last.
                assert_eq!(policies.len(), 1, "{name} has {} policies", policies.len());
                let denied = policies[0].1["PolicyDocument"]["Statement"].as_sequence().unwrap().iter().any(|it| {
                    let resource = it["Resource"].as_sequence().map_or(&it["Resource"], |all| &all[0]);
                    it["Effect"] == "Deny"
                        && it["Principal"] == "*"
                        && it["Condition"]["Bool"]["aws:SecureTransport"] == "false"
                        && target(resource) == Some(name)
                });
                assert!(denied, "{name} takes requests without TLS");
            }
        }
    }
}

#[test]
fn every_role_takes_the_boundary_and_the_path() {
    for template in [home(), region()] {
        let roles: Vec<_> = template.of_type("IAM::Role").collect();
        assert!(!roles.is_empty());
        for (name, role) in roles {
            assert_eq!(role["Path"]["Ref"], "RolePath", "{name}");
            let boundary = &role["PermissionsBoundary"]["Fn::If"];
            let (condition, value) = (&boundary[0], &boundary[1]["Ref"]);
            assert_eq!((condition, value), (&"RolesAreBounded".into(), &"PermissionsBoundary".into()), "{name}");
        }
    }
}

#[test]
fn every_function_is_invoked_by_its_alias_which_the_template_never_moves() {
    let home = home();
    let functions: BTreeSet<_> = home.of_type("Lambda::Function").map(|(name, _)| name).collect();
    let mut aliased = BTreeSet::new();
    for (name, alias) in home.of_type("Lambda::Alias") {
        assert_eq!((&alias["Name"], &alias["FunctionVersion"]), (&"live".into(), &"$LATEST".into()), "{name}");
        // Another property that changed would lead it to $LATEST again.
        assert_eq!(alias.as_mapping().unwrap().len(), 3, "{name}");
        aliased.insert(function_of(&home, name));
    }
    assert_eq!(aliased, functions);
    let invoked = ["Lambda::Permission", "Lambda::EventSourceMapping"].map(|kind| home.of_type(kind));
    let invoked = invoked.into_iter().flatten().map(|(_, it)| target(&it["FunctionName"]).unwrap());
    for it in invoked.chain(targets(&home).into_iter().map(|(_, it)| it)) {
        assert!(!functions.contains(it), "{it} is invoked past its alias");
    }
}
