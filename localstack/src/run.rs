//! Anybody's pipeline on the local stack: what its definition names is made, the pipeline is created through the API, and its
//! first release is followed to its end. What this machine cannot run has a stand-in, and the table at the end says so.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::primitives::DateTime;
use aws_sdk_codepipeline::types::{
    ActionExecutionDetail, ActionExecutionFilter, ActionExecutionStatus, PipelineDeclaration, PipelineExecutionStatus,
};
use aws_smithy_json::codec::JsonCodec;
use aws_smithy_schema::codec::Codec;
use local::{HOME, Stack};
use pipeline::declaration::ArtifactStore;
use pipeline::{Declaration, Pipeline};

mod approvals;
mod cdk;
mod definition;
mod here;
mod intrinsics;
mod job_workers;
mod localize;
mod names;
mod plan;
mod repository;
mod resources;
mod source;
mod stand_ins;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod worker;

use crate::mail::Mailbox;
use crate::progress::Tree;
use approvals::Approver;
use definition::Definition;
use here::{Here, region, value};
use job_workers::JobWorkers;
use localize::Regions;
use millrace::output::{outln, report};
use plan::{Plan, topic_arn};
use resources::Resources;
use source::Source;
use table::Report;
use worker::Worker;

/// How often the pipeline's state is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long the first release may take to begin.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What to run, and how.
#[derive(clap::Args, Debug)]
pub struct Wanted {
    /// GetPipeline's or CreatePipeline's JSON, a CloudFormation template, or the folder that `cdk synth` writes.
    pub file: PathBuf,
    /// The folder that is the content of the pipeline's sources.
    #[arg(long, value_name = "DIR")]
    pub source: PathBuf,
    /// The value of a template's parameter.
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,
    /// Which of several pipelines in a template.
    #[arg(long, value_name = "LOGICAL_ID")]
    pub pipeline: Option<String>,
    /// Approve without asking anybody.
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object, and nothing else on standard output.
    #[arg(long)]
    pub json: bool,
    /// Leave the pipeline and what was made for it.
    #[arg(long)]
    pub keep: bool,
    /// A Python program that does the jobs of the template's custom action types: samples have one.
    #[arg(skip)]
    pub job_worker: Option<PathBuf>,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a parameter is KEY=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The input, read before anything is started.
#[derive(Debug)]
pub struct Input {
    definition: Definition,
    source: Source,
}

impl Wanted {
    /// A run without options.
    pub fn new(file: PathBuf, source: PathBuf) -> Self {
        let (parameters, pipeline, job_worker) = (Vec::new(), None, None);
        Self { file, source, parameters, pipeline, yes: false, json: false, keep: false, job_worker }
    }

    /// Reads the definition and the source.
    ///
    /// # Errors
    /// When one of them cannot be used; the message says what and where.
    pub fn read(&self) -> Result<Input> {
        let parameters: BTreeMap<_, _> = self.parameters.iter().cloned().collect();
        let source = Source::read(&self.source)?;
        let definition = Definition::read(&self.file, &parameters, self.pipeline.as_deref())?;
        let mut declaration = definition.pipeline.clone();
        localize::localize(&mut declaration, &Regions::new(&definition.home), ANY_ROLE, |_| Ok(any_store()))?;
        check(&declaration).with_context(|| format!("{}: the pipeline is not valid", self.file.display()))?;
        Ok(Input { definition, source })
    }
}

/// How a pipeline has ended.
enum Ended {
    Released(Report),
    /// It is another one from now on.
    Changed(Box<Definition>),
}

/// Runs the pipeline to its end, and tells what became of each action.
///
/// # Errors
/// When the definition is not valid, or something that is not the release itself goes wrong.
pub async fn run(stack: &Stack, wanted: &Wanted, input: Input) -> Result<Report> {
    let Input { definition, source } = input;
    let new = match once(stack, wanted, &definition, &source).await? {
        Ended::Released(report) => return Ok(report),
        Ended::Changed(new) => new,
    };
    say(wanted, "the pipeline changes itself, and begins anew as it was synthesised")?;
    match once(stack, wanted, &new, &source).await? {
        Ended::Released(report) => Ok(report),
        Ended::Changed(_) => bail!("the pipeline would change itself again: its synthesis is not the same each time"),
    }
}

/// Runs the pipeline until it ends or changes itself.
async fn once(stack: &Stack, wanted: &Wanted, definition: &Definition, source: &Source) -> Result<Ended> {
    let mut declaration = definition.pipeline.clone();
    let regions = Regions::new(&definition.home);
    let role = stack.value("MILLRACE_PIPELINE_ROLE")?;
    localize::localize(&mut declaration, &regions, role, |region| localize::store(stack, region))?;

    let template = definition.template.as_ref();
    let here = Here::look(stack, &declaration, template, wanted.job_worker.is_some()).await?;
    let id = uuid::Uuid::new_v4().simple().to_string();
    let mut plan = Plan::new(&declaration, &here, source, &id[..6]);
    for left_out in definition.left_out.iter().chain(&plan.left_out) {
        say(wanted, &format!("left out: {left_out}"))?;
    }
    let mut resources = Resources::new(stack);
    let around = Around { here, source, authored: definition, definition: declaration };
    let result = tokio::select! {
        result = released(stack, wanted, &mut resources, &mut plan, &around) => result,
        interrupted = tokio::signal::ctrl_c() => Err(interrupted.map_or_else(Into::into, |()| anyhow!("interrupted"))),
    };
    if !wanted.keep || matches!(result, Ok(Ended::Changed(_))) {
        resources.delete().await;
        return result;
    }
    let result = result?;
    resources::watch_sources(stack, &plan).await?;
    if !plan.stand_ins.is_empty() {
        say(wanted, "the pipeline stays; its stand-ins are answered only while `local run` runs")?;
    }
    Ok(result)
}

/// Tells people; standard output belongs to machines if they are to read it.
fn say(wanted: &Wanted, line: &str) -> Result<()> {
    if wanted.json {
        report(line);
        return Ok(());
    }
    outln!("{line}")
}

/// Stands for the role that only a running stack has.
const ANY_ROLE: &str = "arn:aws:iam::000000000000:role/any";

/// Stands for the artifact store that only a running stack has.
fn any_store() -> ArtifactStore {
    ArtifactStore { kind: "S3".to_owned(), location: "any".to_owned(), encryption_key: None }
}

/// Everything that the API would refuse, at once, before anything is made.
fn check(declaration: &Declaration) -> Result<()> {
    let pipeline = Pipeline::try_from(declaration.clone())?;
    pipeline.check_home(HOME)?;
    Ok(())
}

/// What a release begins with.
struct Around<'a> {
    here: Here,
    source: &'a Source,
    authored: &'a Definition,
    /// The pipeline as its author has it, with the stack's names.
    definition: Declaration,
}

/// Makes what is needed, creates the pipeline, follows its first release.
async fn released(
    stack: &Stack,
    wanted: &Wanted,
    resources: &mut Resources<'_>,
    plan: &mut Plan,
    Around { here, source, authored, definition }: &Around<'_>,
) -> Result<Ended> {
    let client = stack.codepipeline();
    let name = definition.name.clone();
    if client.get_pipeline().name(&name).send().await.is_ok() {
        bail!(
            "there is a pipeline {name} on the local stack already; delete it first: aws codepipeline delete-pipeline --name {name}"
        );
    }
    resources.bootstrap(authored, definition).await?;
    resources.make(plan, here, source).await?;
    let mut approver = approver(stack, wanted.yes, resources, plan).await?;
    let since = SystemTime::now();
    let created = client.create_pipeline().pipeline(as_sdk(&plan.declaration)?).send().await;
    created.with_context(|| format!("cannot create the pipeline {name}"))?;
    resources.has_pipeline(&name);
    let began = Instant::now();
    let execution = first_execution(&client, &name).await?;

    let worker = Worker { stack, authored, definition, plan, source };
    let mut job_workers = match &wanted.job_worker {
        Some(program) => JobWorkers::start(stack, program, definition, &here.new_types)?,
        None => JobWorkers::default(),
    };
    let mut tree = (!wanted.json).then(|| Tree::new(std::io::stdout().is_terminal(), since));
    let is_parallel = definition.execution_mode.as_deref() == Some("PARALLEL");
    let status = loop {
        // Read first: what is shown afterwards is then at least as new.
        let status = status(&client, &name, &execution).await?;
        let actions = actions(&client, &name, &execution).await?;
        if let Some(tree) = &mut tree {
            let state = client.get_pipeline_state().name(&name).send().await.context("cannot read the state")?;
            tree.update(&state, &execution);
            if is_parallel {
                tree.update_from_history(&actions);
            }
            tree.draw()?;
        }
        if !matches!(status, PipelineExecutionStatus::InProgress | PipelineExecutionStatus::Stopping) {
            break status;
        }
        let running: Vec<_> =
            actions.iter().filter(|it| it.status() == Some(&ActionExecutionStatus::InProgress)).collect();
        for action in &running {
            let place = |it: Option<&str>| it.unwrap_or_default().to_owned();
            let place = (place(action.stage_name()), place(action.action_name()));
            if let Some(stand_in) = plan.stand_ins.get(&place)
                && let Some(new) = worker.work(&stand_in.type_id).await?
            {
                return Ok(Ended::Changed(new));
            }
        }
        job_workers.check()?;
        for line in approver.attend(&client, &name, &running).await? {
            match &mut tree {
                Some(tree) => tree.say(&line)?,
                None => report(&line),
            }
        }
        tokio::time::sleep(TICK).await;
    };
    let seconds = began.elapsed().as_secs_f64();
    let executed = actions(&client, &name, &execution).await?;
    Ok(Ended::Released(Report::new(&name, status.as_str(), seconds, &plan.rows, &executed)))
}

/// Who answers the approvals. A person is asked by mail: approvals that name no topic get one.
async fn approver(stack: &Stack, yes: bool, resources: &mut Resources<'_>, plan: &mut Plan) -> Result<Approver> {
    let actions = plan.declaration.stages.iter_mut().flat_map(|stage| &mut stage.actions);
    let approvals: Vec<_> = actions.filter(|it| it.action_type_id.category == "Approval").collect();
    if approvals.is_empty() {
        return Ok(Approver::Nobody);
    }
    if yes {
        return Ok(Approver::Yes { answered: std::collections::BTreeSet::new() });
    }
    let name = format!("millrace-run-{}", uuid::Uuid::new_v4());
    let mut topics = Vec::new();
    for action in approvals {
        let region = region(action).to_owned();
        if value(action, "NotificationArn").is_empty() {
            let arn = topic_arn(&region, &name);
            resources.topic(&region, &arn).await?;
            action.configuration.get_or_insert_default().insert("NotificationArn".to_owned(), arn);
        }
        let topic = (region, value(action, "NotificationArn").to_owned());
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    let url = resources.mailbox(&name, &topics).await?;
    Ok(Approver::Person(Mailbox::open(stack, &url).await?))
}

/// The declaration in the SDK's form.
fn as_sdk(declaration: &Declaration) -> Result<PipelineDeclaration> {
    let text = serde_json::to_string(declaration)?;
    PipelineDeclaration::deserialize(&mut JsonCodec::default().create_deserializer(text.as_bytes()))
        .context("the declaration has no form that the API takes")
}

/// Creating a pipeline starts it.
async fn first_execution(client: &Client, pipeline: &str) -> Result<String> {
    let began = Instant::now();
    while began.elapsed() < START_LIMIT {
        let listed = client.list_pipeline_executions().pipeline_name(pipeline).send().await;
        let listed = listed.context("cannot list the pipeline's executions")?;
        if let Some(id) = listed.pipeline_execution_summaries().last().and_then(|it| it.pipeline_execution_id()) {
            return Ok(id.to_owned());
        }
        tokio::time::sleep(TICK).await;
    }
    bail!("the pipeline has not started after {} s; see: cargo run -p local -- logs", START_LIMIT.as_secs())
}

async fn status(client: &Client, pipeline: &str, execution: &str) -> Result<PipelineExecutionStatus> {
    let found = client.get_pipeline_execution().pipeline_name(pipeline).pipeline_execution_id(execution).send().await;
    let found = found.context("cannot read the release")?;
    let status = found.pipeline_execution().and_then(|it| it.status());
    Ok(status.cloned().unwrap_or(PipelineExecutionStatus::InProgress))
}

/// The release's actions so far, in the order in which they began.
async fn actions(client: &Client, pipeline: &str, execution: &str) -> Result<Vec<ActionExecutionDetail>> {
    let filter = ActionExecutionFilter::builder().pipeline_execution_id(execution).build();
    let mut pages = client.list_action_executions().pipeline_name(pipeline).filter(filter).into_paginator().send();
    let mut actions = Vec::new();
    while let Some(page) = pages.next().await {
        actions.extend(page.context("cannot list the release's actions")?.action_execution_details.unwrap_or_default());
    }
    actions.sort_by_key(|action| action.start_time().map(DateTime::as_nanos));
    Ok(actions)
}
