//! The installation: its stacks and what is in them, its settings, and the way to it.

use aws_sdk_cloudformation::types::{Stack, StackResourceSummary};
use aws_sdk_codepipeline::Client;
use runtime::PipelinePath;

use super::finding::{Findings, Look};
use super::{Place, clock, resources, rules, traces};
use crate::stacks::{describe, is_good, outputs, status};
use crate::state::{Way, way};
use crate::{Account, Installation};

/// Functions that may run at once in a new account. Source: Lambda developer guide, 'Lambda quotas'.
const LOWEST_QUOTA: i32 = 10;

/// Looks at the installation; none where there is none to look at further.
pub(super) async fn look(
    account: &Account,
    stack: &str,
    number: &str,
    client_endpoint: Option<&str>,
    findings: &mut Findings,
) -> Option<Installation> {
    clock::look(account, findings).await;
    let home = account.home().to_owned();
    let installation = find(account, stack, findings).await?;
    let place = Place { account, installation: &installation, number };
    if findings.emulator {
        findings.ok(
            "an emulator answers: it checks no permissions, so whether roles may do what they must shows on AWS only",
        );
    }
    stack_resources(&place, stack, &home, findings).await;
    let listed = installation.output("Regions").unwrap_or(&home).to_owned();
    for region in listed.split(',').map(str::trim).filter(|region| !region.is_empty()) {
        region_stack(&place, region, findings).await;
    }
    settings(&installation, findings);
    traces::look(&place, findings).await;
    rules::of_installation(&place, findings).await;
    quota(account, findings).await;
    client(account, &installation, client_endpoint, findings).await;
    Some(installation)
}

async fn find(account: &Account, name: &str, findings: &mut Findings) -> Option<Installation> {
    let home = account.home();
    let deploy = format!("millrace deploy --region {home} --stack {name}");
    let client = aws_sdk_cloudformation::Client::new(&account.sdk(home));
    match describe(&client, name).await {
        Err(error) => {
            findings.error(
                format!("the stack {name} in {home}: {error:#}"),
                "you need cloudformation:DescribeStacks on it",
            );
            None
        }
        Ok(None) => {
            findings.error(format!("there is no stack {name} in {home}"), deploy);
            None
        }
        Ok(Some(stack)) => {
            state(name, home, &stack, findings);
            Some(Installation::of(name, &stack))
        }
    }
}

fn state(name: &str, region: &str, stack: &Stack, findings: &mut Findings) {
    let what = format!("the stack {name} in {region} is {}", status(stack));
    let busy = status(stack).ends_with("_IN_PROGRESS");
    match way(name, region, Some(status(stack))) {
        Ok(Way::Update) if status(stack) == "UPDATE_ROLLBACK_COMPLETE" => {
            findings.warning(
                format!("{what}: its last update failed"),
                "millrace deploy, which says why if it fails again",
            );
        }
        Ok(Way::Update) if is_good(stack) => findings.ok(what),
        Ok(_) => findings.error(what, "millrace deploy"),
        Err(words) if busy => findings.warning(what, words.to_string()),
        Err(words) => findings.error(what, words.to_string()),
    }
}

async fn listed(place: &Place<'_>, stack: &str, region: &str, findings: &mut Findings) -> Vec<StackResourceSummary> {
    let client = aws_sdk_cloudformation::Client::new(&place.account.sdk(region));
    let resources = client.list_stack_resources().stack_name(stack).into_paginator().items().send();
    let resources = resources.collect::<Result<Vec<_>, _>>().await;
    let what = format!("the resources of the stack {stack} in {region}");
    findings.look(&what, "cloudformation:ListStackResources", "*", resources).found().unwrap_or_default()
}

async fn stack_resources(place: &Place<'_>, stack: &str, region: &str, findings: &mut Findings) {
    let resources = listed(place, stack, region, findings).await;
    resources::look(place, region, &resources, findings).await;
}

async fn region_stack(place: &Place<'_>, region: &str, findings: &mut Findings) {
    let name = format!("{}-region", place.installation.name);
    let client = aws_sdk_cloudformation::Client::new(&place.account.sdk(region));
    match describe(&client, &name).await {
        Err(error) => {
            let mend = "you need cloudformation:DescribeStacks on it";
            findings.warning(format!("the stack {name} in {region}: {error:#}"), mend);
        }
        Ok(None) => findings.error(
            format!(
                "there is no stack {name} in {region}, so that there is no artifact store, and events do not come home"
            ),
            format!("millrace deploy --regions {region}"),
        ),
        Ok(Some(stack)) => {
            state(&name, region, &stack, findings);
            stack_resources(place, &name, region, findings).await;
            if let Some(alias) = outputs(&stack).get("ArtifactKeyAlias") {
                let kms = aws_sdk_kms::Client::new(&place.account.sdk(region));
                let what = format!("the alias {alias} in {region}");
                let found = kms.describe_key().key_id(alias).send().await;
                if let Look::Missing = findings.look(&what, "kms:DescribeKey", "*", found) {
                    findings.error(format!("{what} does not exist any more"), "millrace deploy");
                }
            }
        }
    }
}

fn settings(installation: &Installation, findings: &mut Findings) {
    let on = |key: &str, usual: &str| installation.parameter(key).unwrap_or(usual) == "true";
    match (on("ApprovalLinks", "true"), on("SeparateApprover", "false")) {
        (true, false) => {
            findings.ok("approval messages have links, with which whoever has one can answer (ApprovalLinks)")
        }
        (true, true) => findings.ok("approval messages have links, which can only reject (SeparateApprover)"),
        (false, _) => findings.ok("approval messages have no links: answers come by PutApprovalResult (ApprovalLinks)"),
    }
    if installation.parameter("AlarmTopic").is_none() {
        findings.warning(
            "alarms ring unheard: the parameter AlarmTopic is empty",
            "deploy with AlarmTopic=ARN of an SNS topic that somebody reads",
        );
    }
}

async fn quota(account: &Account, findings: &mut Findings) {
    let home = account.home();
    let client = aws_sdk_lambda::Client::new(&account.sdk(home));
    let found = client.get_account_settings().send().await;
    let what = format!("Lambda's quota in {home}");
    let Some(found) = findings.look(&what, "lambda:GetAccountSettings", "*", found).found() else { return };
    let Some(most) = found.account_limit().map(|limit| limit.concurrent_executions()) else { return };
    if most > LOWEST_QUOTA {
        return findings.ok(format!("{most} functions may run at once in {home}"));
    }
    findings.warning(
        format!("only {most} functions may run at once in {home}, all of the account's: releases wait for each other"),
        format!(
            "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 \
             --desired-value 1000 --region {home}"
        ),
    );
}

/// Whether CodePipeline's clients of this shell find the installation.
async fn client(account: &Account, installation: &Installation, endpoint: Option<&str>, findings: &mut Findings) {
    let Ok(api) = installation.output("ApiUrl") else {
        return findings.error("the home stack has no output ApiUrl", "millrace deploy");
    };
    // Clients sign for CodePipeline, which only an emulator's API takes.
    let export = match findings.emulator {
        true => format!("export AWS_ENDPOINT_URL_CODEPIPELINE={api}"),
        false => "run `millrace proxy`, and set what it prints".to_owned(),
    };
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else {
        return findings.warning(
            "AWS_ENDPOINT_URL_CODEPIPELINE is not set: the clients of this shell speak to AWS's CodePipeline",
            export,
        );
    };
    let config = aws_sdk_codepipeline::config::Builder::from(&account.sdk(account.home())).endpoint_url(endpoint);
    let request = Client::from_conf(config.build()).list_pipelines().max_results(1).customize();
    // Something in between, such as a proxy, signs for API Gateway itself.
    let is_api = endpoint.trim_end_matches('/') == api.trim_end_matches('/');
    let request = if is_api { request.interceptor(PipelinePath::of_operation(api, "ListPipelines")) } else { request };
    let what = format!("the API at {endpoint} (AWS_ENDPOINT_URL_CODEPIPELINE)");
    match findings.look(&what, "execute-api:Invoke", "*", request.send().await) {
        Look::Found(_) if is_api && !findings.emulator => findings.warning(
            format!("{what} answers, but not to CodePipeline's clients: they do not sign for API Gateway"),
            export,
        ),
        Look::Found(_) => findings.ok(format!("{what} answers")),
        Look::Missing => findings.error(format!("{what} is not the installation's"), export),
        Look::Unknown => {}
    }
}
