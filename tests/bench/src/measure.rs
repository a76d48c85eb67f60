//! What is measured, and how.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_credential_types::Credentials as Keys;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use engine::{ExecutionId, ExecutionStatus};
use futures::{StreamExt, TryStreamExt};
use local::{Emulator, FUNCTIONS, HOME, PROFILE};
use millrace::proxy::{Api, Credentials};
use pipeline::PipelineName;

use crate::installation::Installation;
use crate::lines;
use crate::past;
use crate::pipelines::{self, Kind, Step, name};
use crate::processor::{Processor, Shares};
use crate::proxy::Proxy;
use crate::report::{Report, Row};
use crate::state_machine::{self, Order};
use crate::statistics::median;
use store::{Entity, Key, Listing, Store, Versioned};

/// Actions of one kind: its name, the groups of a pipeline with that many of them side by side, and its budget.
type Shape<'a> = (&'a str, &'a dyn Fn(usize) -> Vec<Vec<Step>>, Option<f64>);

/// Actions that fit into a stage, and executions of mode PARALLEL into a pipeline.
const MOST_IN_STAGE: usize = 50;
const MOST_AT_ONCE: usize = 50;
/// Calls that start executions at the same time: each takes a process of the API's, as more would.
const STARTS_AT_ONCE: usize = 8;
/// How often executions at once are looked at, and how long they may take.
const LOOK_AT_ONCE: Duration = Duration::from_millis(100);
const AT_ONCE_LIMIT: Duration = Duration::from_secs(300);
/// Actions after the source of the pipeline with many past executions, and calls that list those.
const PAST_CHAIN: i32 = 20;
const PAST_CALLS: u32 = 10;
/// The most that a page of the console may take, in milliseconds, and how often each is read after a first time.
const PAGE: f64 = 300.0;
const PAGE_READS: usize = 11;
/// Events before the floor is measured: the function's process has to start.
const WARM_UP: usize = 5;
/// Conditional writes that are measured, and the size of what they write: about that of a stage in work.
const WRITES: usize = 60;
const WRITTEN: usize = 4_000;
/// Between two events, so that each finds the function idle.
const PAUSE: Duration = Duration::from_millis(150);

/// How much is done. The defaults are those that the budgets are judged by.
#[derive(Clone, Debug)]
pub struct Effort {
    /// The name of the emulator's instance.
    pub name: &'static str,
    /// How many events the floor is the median of.
    pub events: usize,
    /// How often each pipeline is run, after the first time, which does not count.
    pub repeat: u32,
    /// How many actions follow one another in the pipeline whose gap is measured.
    pub chain: usize,
    /// Sizes of the groups of parallel actions whose beginning is measured.
    pub groups: Vec<usize>,
    /// Actions by which two pipelines differ, to count writes.
    pub counted: usize,
    /// Parallel actions whose end is measured; no more than 50 fit into a stage.
    pub parallel: usize,
    /// Lambda actions one after another that race a state machine; as many as `parallel` race one side by side.
    pub race: usize,
    /// Sizes of pipelines, in actions one after another, between which the gap may not grow; the smallest first. With its
    /// source a pipeline has 500 at most.
    pub sizes: Vec<usize>,
    /// Numbers of past executions of a pipeline, between which the gap may not grow; the smallest first.
    pub past: Vec<u64>,
    /// Executions of mode PARALLEL that run at once; a pipeline may have 50.
    pub at_once: usize,
    /// Calls of each operation whose time is measured.
    pub calls: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            name: "bench",
            events: 60,
            repeat: 5,
            chain: 20,
            groups: vec![5, 10],
            counted: 10,
            parallel: 50,
            race: 20,
            sizes: vec![5, 50, 499],
            past: vec![10, 1_000, 10_000],
            at_once: 100,
            calls: 100,
        }
    }
}

/// Brings an installation up, measures, and takes it down again. `program` is the bench's own program.
///
/// # Errors
/// When anything fails; figures are never made up.
pub async fn measure(emulator: Emulator, effort: &Effort, program: &Path) -> Result<Report> {
    let installation = Installation::up(emulator, effort.name, program).await?;
    let mut bench = Bench { installation, repeat: effort.repeat, floor: 0.0, write: 0.0, rows: Vec::new() };
    bench.floor(effort).await?;
    bench.conditional_write().await?;
    bench.chain(effort.chain).await?;
    for group in &effort.groups {
        bench.fan_out(*group).await?;
    }
    bench.after_asynchronous().await?;
    bench.parallel(effort.parallel).await?;
    bench.race(effort.race, Order::Chain, 1.6).await?;
    bench.race(effort.parallel, Order::Parallel, 1.5).await?;
    bench.growth(&effort.sizes).await?;
    bench.past(&effort.past).await?;
    bench.pages(effort.past.last().copied().unwrap_or_default()).await?;
    bench.at_once(effort.at_once).await?;
    bench.operations(effort.calls).await?;
    bench.writes(effort.counted).await?;
    bench.sizes().await?;
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Ok(Report { emulator: emulator.name(), time, floor: bench.floor, rows: bench.rows })
}

struct Bench {
    installation: Installation,
    repeat: u32,
    /// Milliseconds of the floor.
    floor: f64,
    /// Milliseconds of one conditional write.
    write: f64,
    rows: Vec<Row>,
}

impl Bench {
    fn row(&mut self, figure: String, value: f64, unit: &'static str, ratio: Option<f64>, budget: Option<f64>) {
        let row = Row { figure, value, unit, ratio, budget };
        eprintln!("{row}");
        self.rows.push(row);
    }

    /// A time, as a share of the floor.
    fn gap(&mut self, figure: String, times: &[f64], budget: Option<f64>) -> Result<()> {
        let time = median(times).with_context(|| format!("nothing was measured: {figure}"))?;
        self.row(figure, time, "ms", Some(time / self.floor), budget);
        Ok(())
    }

    async fn floor(&mut self, effort: &Effort) -> Result<()> {
        let mut single = Vec::new();
        for number in 0..WARM_UP + effort.events {
            single.extend(self.put_events(&format!("single-{number}"), 1).await?);
            tokio::time::sleep(PAUSE).await;
        }
        let mut groups = Vec::new();
        for size in &effort.groups {
            for number in 0..=self.repeat {
                groups.push((*size, number, self.put_events(&format!("group-{size}-{number}"), *size).await?));
                tokio::time::sleep(PAUSE * 5).await;
            }
        }
        let expected: Vec<String> =
            single.iter().chain(groups.iter().flat_map(|(_, _, events)| events)).map(|(id, _)| id.clone()).collect();
        let puts = lines::puts(&self.installation.logs, &self.installation.floor_log, &expected).await?;
        let took = |(id, sent): &(String, f64)| puts[id] - sent;
        let single: Vec<f64> = single.iter().skip(WARM_UP).map(took).collect();
        self.floor = median(&single).context("no event was measured")?;
        eprintln!("the floor is {:.1} ms", self.floor);
        for size in &effort.groups {
            let mut each = Each::default();
            for (_, _, events) in groups.iter().filter(|(of, number, _)| of == size && *number > 0) {
                each.add(events.iter().map(took).collect());
            }
            self.gap(format!("(floor, {size} events at once: median)"), &each.median, None)?;
            self.gap(format!("(floor, {size} events at once: last)"), &each.last, None)?;
        }
        Ok(())
    }

    /// One conditional write of an item, as often as needed for a median: the least that a step of a pipeline costs.
    async fn conditional_write(&mut self) -> Result<()> {
        let client = aws_sdk_dynamodb::Client::new(&self.installation.stack.sdk(HOME));
        let content = AttributeValue::S("x".repeat(WRITTEN));
        let mut times = Vec::new();
        for number in 0..WARM_UP + WRITES {
            let revision = |number: usize| AttributeValue::N(number.to_string());
            let write = client
                .update_item()
                .table_name(&self.installation.table)
                .key("pk", AttributeValue::S("conditional write".into()))
                .update_expression("SET content = :content, revision = :new")
                .condition_expression("attribute_not_exists(pk) OR revision = :old")
                .expression_attribute_values(":content", content.clone())
                .expression_attribute_values(":new", revision(number + 1))
                .expression_attribute_values(":old", revision(number));
            let began = Instant::now();
            write.send().await.context("a conditional write was refused")?;
            times.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        self.write = median(&times[WARM_UP..]).context("nothing was written")?;
        self.row("(one conditional write)".into(), self.write, "ms", Some(self.write / self.floor), None);
        Ok(())
    }

    /// Sends `count` events in one request; returns their ids, each with the time before it.
    async fn put_events(&self, id: &str, count: usize) -> Result<Vec<(String, f64)>> {
        let client = aws_sdk_eventbridge::Client::new(&self.installation.stack.sdk(HOME));
        let ids: Vec<String> = (0..count).map(|number| format!("{id}-{number}")).collect();
        let entry = |id: &String| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.installation.bus)
                .source("bench")
                .detail_type("Floor")
                .detail(serde_json::json!({ "id": id }).to_string())
                .build()
        };
        let entries: Vec<_> = ids.iter().map(entry).collect();
        let sent = jiff::Timestamp::now().as_microsecond() as f64 / 1_000.0;
        let answer = client.put_events().set_entries(Some(entries)).send().await.context("cannot put events")?;
        ensure!(answer.failed_entry_count() == 0, "the bus refused events: {answer:?}");
        Ok(ids.into_iter().map(|id| (id, sent)).collect())
    }

    /// Makes a pipeline, by which it runs once to warm up, and runs it as often as asked for. Returns the executions' ids.
    async fn runs(&self, pipeline: &str, stages: &[Vec<Step>]) -> Result<Vec<String>> {
        let client = &self.installation.codepipeline;
        pipelines::create(client, &self.installation.places, pipeline, stages).await?;
        let mut executions = Vec::new();
        for _ in 0..self.repeat {
            executions.push(pipelines::run(client, pipeline).await?);
        }
        Ok(executions)
    }

    /// The gaps between the actions of an execution that run one after another; the one behind the source does not count.
    async fn gaps(&self, execution: &str, stages: &[Vec<Step>]) -> Result<Vec<f64>> {
        let mut calls: Vec<_> = self.calls(execution, stages).await?.into_values().collect();
        calls.sort_by(|one, other| one.start.total_cmp(&other.start));
        Ok(calls.windows(2).skip(1).map(|pair| pair[1].start - pair[0].back).collect())
    }

    async fn calls(&self, execution: &str, stages: &[Vec<Step>]) -> Result<HashMap<String, lines::Call>> {
        let each =
            stages.iter().enumerate().flat_map(|(number, steps)| (0..steps.len()).map(move |it| name(number, it)));
        let names: Vec<String> = each.collect();
        lines::calls(&self.installation.logs, &self.installation.worker_log, execution, &names).await
    }

    /// Gaps between actions of one stage, one after another, and between stages of one action each.
    async fn chain(&mut self, actions: usize) -> Result<()> {
        let one_stage = vec![(1..).take(actions).map(|order| (order, Kind::Synchronous)).collect::<Vec<_>>()];
        let many_stages = vec![vec![(1, Kind::Synchronous)]; actions];
        for (figure, pipeline, stages, budget) in [
            ("gap, one action after another", "chain", one_stage, Some(0.10)),
            ("(gap, from stage to stage)", "stages", many_stages, None),
        ] {
            let mut gaps = Vec::new();
            for execution in self.runs(pipeline, &stages).await? {
                gaps.extend(self.gaps(&execution, &stages).await?);
            }
            self.gap(figure.into(), &gaps, budget)?;
            if budget.is_some() {
                let gap = median(&gaps).context("nothing was run")?;
                let figure = format!("{figure}, beside one conditional write");
                self.row(figure, gap, "ms", Some(gap / self.write), Some(1.3));
            }
        }
        Ok(())
    }

    /// Gaps from one action to each of a group of parallel ones.
    async fn fan_out(&mut self, actions: usize) -> Result<()> {
        let mut group = vec![(1, Kind::Synchronous)];
        group.resize(actions + 1, (2, Kind::Synchronous));
        let stages = vec![group];
        let mut each = Each::default();
        for execution in self.runs(&format!("fan-out-{actions}"), &stages).await? {
            let mut calls = self.calls(&execution, &stages).await?;
            calls.remove("Source");
            let lead = calls.remove(&name(0, 0)).context("the first action was not run")?;
            each.add(calls.values().map(|call| call.start - lead.back).collect());
        }
        self.gap(format!("(gap, fan-out to {actions}: first)"), &each.first, None)?;
        self.gap(format!("(gap, fan-out to {actions}: median)"), &each.median, None)?;
        self.gap(format!("gap, fan-out to {actions}: last"), &each.last, Some(0.4))
    }

    /// The gap after an action whose end is told by the provider: from the state machine's stop to the next action.
    async fn after_asynchronous(&mut self) -> Result<()> {
        let stages = vec![vec![(1, Kind::Asynchronous), (2, Kind::Synchronous)]];
        let step_functions = aws_sdk_sfn::Client::new(&self.installation.stack.sdk(HOME));
        let mut gaps = Vec::new();
        for execution in self.runs("asynchronous", &stages).await? {
            let ran = pipelines::actions(&self.installation.codepipeline, "asynchronous", &execution).await?;
            let (_, first) = ran.iter().find(|(it, _)| *it == name(0, 0)).context("the first action was not run")?;
            let stopped = step_functions.describe_execution().execution_arn(&first.external).send().await?;
            let stopped = stopped.stop_date().context("the state machine stopped")?.as_secs_f64() * 1_000.0;
            gaps.push(self.calls(&execution, &stages).await?[&name(0, 1)].start - stopped);
        }
        self.gap("gap, state machine's end to the next action".into(), &gaps, Some(1.2))
    }

    /// Lambda actions beside the same functions as tasks of a state machine: from the first one's request to the last
    /// one's end, divided by the tasks of a chain.
    async fn race(&mut self, tasks: usize, order: Order, budget: f64) -> Result<()> {
        let stages: Vec<Vec<Step>> = match order {
            Order::Chain => vec![(1..).take(tasks).map(|order| (order, Kind::Function)).collect()],
            Order::Parallel => vec![vec![(1, Kind::Function); tasks]],
        };
        let pipeline = format!("race-{order:?}-{tasks}");
        let mut took = Vec::new();
        for execution in self.runs(&pipeline, &stages).await? {
            took.push(self.took(&pipeline, &execution, tasks).await?);
        }
        let client = aws_sdk_sfn::Client::new(&self.installation.stack.sdk(HOME));
        let Installation { states_role, places, .. } = &self.installation;
        let race = state_machine::race(&client, states_role, &places.function, (tasks, order), self.repeat);
        let (machine, ours) = (median(&race.await?), median(&took));
        let (machine, ours) = machine.zip(ours).context("nothing was run")?;
        let (word, each) = match order {
            Order::Chain => ("one after another, each", tasks as f64),
            Order::Parallel => ("in parallel", 1.0),
        };
        self.row(format!("({tasks} tasks of a state machine {word})"), machine / each, "ms", None, None);
        let figure = format!("{tasks} Lambda actions {word}");
        self.row(figure, ours / each, "ms", Some(ours / machine), Some(budget));
        Ok(())
    }

    /// From the request of an execution's first action behind the source to the end of its last one, in milliseconds.
    async fn took(&self, pipeline: &str, execution: &str, actions: usize) -> Result<f64> {
        let ran = pipelines::actions(&self.installation.codepipeline, pipeline, execution).await?;
        ensure!(ran.len() == actions, "{} of {actions} actions are listed", ran.len());
        let begin = ran.iter().map(|(_, it)| it.requested).fold(f64::INFINITY, f64::min);
        let end = ran.iter().map(|(_, it)| it.ended).fold(0.0, f64::max);
        Ok(end - begin)
    }

    /// How long parallel actions take, from the request to the last one's end, beside one alone.
    async fn parallel(&mut self, actions: usize) -> Result<()> {
        for (kind, word, budget) in
            [(Kind::Asynchronous, "Step Functions, 1 s", Some(2.5)), (Kind::Synchronous, "S3 deploy", None)]
        {
            let mut times = Vec::new();
            for count in [1, actions] {
                let stages = vec![vec![(1, kind); count]];
                let pipeline = format!("parallel-{kind:?}-{count}");
                let mut took = Vec::new();
                for execution in self.runs(&pipeline, &stages).await? {
                    took.push(self.took(&pipeline, &execution, count).await?);
                }
                times.push(median(&took).context("nothing was run")?);
            }
            let (one, many) = (times[0], times[1]);
            self.row(format!("(one action: {word})"), one, "ms", None, None);
            let figure = format!("{actions} parallel actions: {word}");
            let figure = if budget.is_some() { figure } else { format!("({figure})") };
            self.row(figure, many, "ms", Some(many / one), budget);
        }
        Ok(())
    }

    /// Gaps in pipelines of more and more actions: they stay what they are.
    async fn growth(&mut self, sizes: &[usize]) -> Result<()> {
        let mut smallest = None;
        for size in sizes {
            let each = |count: usize| (1..).take(count).map(|order| (order, Kind::Synchronous)).collect::<Vec<_>>();
            let stages: Vec<_> =
                (0..*size).step_by(MOST_IN_STAGE).map(|begin| each((size - begin).min(MOST_IN_STAGE))).collect();
            let pipeline = format!("size-{size}");
            let mut gaps = Vec::new();
            for execution in self.runs(&pipeline, &stages).await? {
                gaps.extend(self.gaps(&execution, &stages).await?);
            }
            let gap = median(&gaps).context("nothing was run")?;
            let first = *smallest.get_or_insert(gap);
            let figure = format!("gap in a pipeline of {size} actions");
            if gap == first {
                self.row(format!("({figure})"), gap, "ms", Some(gap / self.floor), None);
            } else {
                self.row(figure, gap, "ms", Some(gap / first), Some(1.3));
            }
        }
        Ok(())
    }

    /// Gaps, and times of calls, in a pipeline that has been run more and more often: they stay what they are.
    async fn past(&mut self, numbers: &[u64]) -> Result<()> {
        let stages = vec![(1..=PAST_CHAIN).map(|order| (order, Kind::Synchronous)).collect()];
        let store = self.installation.store().await?;
        let client = self.installation.codepipeline.clone();
        let original = self.runs("past", &stages).await?.pop().context("nothing was run")?;
        let mut fewest: HashMap<&str, f64> = HashMap::new();
        for number in numbers {
            past::copy_until(&store, &original, *number).await?;
            // It is told of each copy, and would be measured with the executions that follow.
            lines::quiet(&self.installation.logs, &self.installation.publisher_log).await?;
            let mut gaps = Vec::new();
            for _ in 0..self.repeat {
                let execution = pipelines::run(&client, "past").await?;
                gaps.extend(self.gaps(&execution, &stages).await?);
            }
            let mut lists = Vec::new();
            for _ in 0..PAST_CALLS {
                let began = Instant::now();
                let page = client.list_pipeline_executions().pipeline_name("past").send().await?;
                lists.push(began.elapsed().as_secs_f64() * 1_000.0);
                ensure!(
                    page.pipeline_execution_summaries().len() >= 10,
                    "a page of a pipeline with {number} past ones"
                );
            }
            for (what, times, budget) in
                [("gap", gaps, Some(1.3)), ("first page of ListPipelineExecutions", lists, None)]
            {
                let time = median(&times).context("nothing was measured")?;
                let figure = format!("{what}, {number} past executions");
                let figure = if budget.is_some() { figure } else { format!("({figure})") };
                match fewest.get(what) {
                    Some(first) => self.row(figure, time, "ms", Some(time / first), budget),
                    None => {
                        fewest.insert(what, time);
                        self.row(
                            format!("({what}, {number} past executions)"),
                            time,
                            "ms",
                            Some(time / self.floor),
                            None,
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// How long the console's pages take through the proxy, those of a pipeline with so many past executions among them; and, beside
    /// them, one query for as many of its executions as a page lists.
    async fn pages(&mut self, past: u64) -> Result<()> {
        let store = self.installation.store().await?;
        let name = PipelineName::new("past")?;
        let head = match store.load(&[Key::Head(name.clone())]).await?.pop().flatten() {
            Some(Versioned { entity: Entity::Head(head), .. }) => head,
            _ => bail!("there is no pipeline {name}"),
        };
        let listing = Listing::Executions(name, head.incarnation);
        let mut times = Vec::new();
        for _ in 0..PAGE_READS {
            let began = Instant::now();
            store.list(&listing, None, 30).await?;
            times.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        let query = median(&times).context("nothing was read")?;
        self.row(format!("(query for 30 of {past} executions)"), query, "ms", None, None);

        let keys = Credentials::new(Keys::new("test", "test", None, None, "bench"));
        let api = Api::new(self.installation.stack.api_url.parse()?, HOME.to_owned(), keys);
        let proxy = millrace::proxy::Proxy::bind(0, api).await?.with_log(|_| {});
        let base = proxy.url();
        let serving = tokio::spawn(proxy.serve(std::future::pending()));
        for (what, path) in [
            ("pipelines", "/pipelines"),
            ("wall", "/wall"),
            ("a pipeline", "/pipelines/past"),
            ("history", "/pipelines/past/history"),
            ("where time goes", "/pipelines/past/time"),
        ] {
            let mut times = Vec::new();
            for _ in 0..=PAGE_READS {
                let began = Instant::now();
                let page = local::http::get(&format!("{base}/console{path}")).await?;
                times.push(began.elapsed().as_secs_f64() * 1_000.0);
                ensure!(page.status == 200 && page.body.contains("past"), "{path}: {page:?}");
            }
            let time = median(&times[1..]).context("nothing was read")?;
            self.row(format!("page with {past} past executions: {what}"), time, "ms", None, Some(PAGE));
        }
        serving.abort();
        Ok(())
    }

    /// How long many executions at once take, beside one alone.
    async fn at_once(&mut self, executions: usize) -> Result<()> {
        let stages = [vec![(1, Kind::Synchronous)], vec![(1, Kind::Synchronous)]];
        let mut names = Vec::new();
        for number in 0..executions.div_ceil(MOST_AT_ONCE) {
            let name = format!("at-once-{number}");
            let client = &self.installation.codepipeline;
            pipelines::create_parallel(client, &self.installation.places, &name, &stages).await?;
            names.push(name);
        }
        let one = self.finish_at_once(&names, 1).await?.0;
        let (many, shares) = self.finish_at_once(&names, executions).await?;
        self.row("(one execution of mode PARALLEL, from its start)".into(), one, "ms", Some(one / self.floor), None);
        let figure = format!("{executions} at once: time an execution");
        let each = |time: f64| time / executions as f64;
        self.row(figure, each(many), "ms", Some(each(many) / self.floor), Some(2.0));
        for (whose, time) in [("emulator", shares.emulator), ("functions", shares.functions)] {
            let figure = format!("({executions} at once: processor time of the {whose}, an execution)");
            self.row(figure, each(time), "ms", Some(each(time) / self.floor), None);
        }
        Ok(())
    }

    /// Starts executions, and answers after how many milliseconds all have succeeded, with whose processor time that was.
    /// They are looked for in the table, all in one request: calls of the API would be measured with them.
    async fn finish_at_once(&self, pipelines: &[String], executions: usize) -> Result<(f64, Shares)> {
        let store = self.installation.store().await?;
        let client = &self.installation.codepipeline;
        let mut processor = Processor::new(self.installation.stack.emulator_pid())?;
        let began = Instant::now();
        let start = |number: usize| async move {
            let started = client.start_pipeline_execution().name(&pipelines[number % pipelines.len()]).send().await?;
            let id: ExecutionId = started.pipeline_execution_id.context("an execution has an id")?.parse()?;
            Ok::<_, anyhow::Error>(Key::Execution(id))
        };
        let starts = futures::stream::iter(0..executions).map(start).buffer_unordered(STARTS_AT_ONCE);
        let keys: Vec<Key> = starts.try_collect().await?;
        loop {
            let found = store.load(&keys).await?;
            let time = began.elapsed();
            processor.look();
            let status = found.iter().flatten().map(|found| match &found.entity {
                Entity::Execution(it) => Some(it.status),
                _ => None,
            });
            let statuses: Vec<_> = status.collect();
            if statuses.len() == keys.len() && statuses.iter().all(|it| *it == Some(ExecutionStatus::Succeeded)) {
                return Ok((time.as_secs_f64() * 1_000.0, processor.shares()));
            }
            let failed = |it: &Option<ExecutionStatus>| {
                it.is_none_or(|status| !status.is_open() && status != ExecutionStatus::Succeeded)
            };
            ensure!(!statuses.iter().any(failed), "not all executions succeed: {statuses:?}");
            ensure!(time < AT_ONCE_LIMIT, "executions at once do not end: {statuses:?}");
            tokio::time::sleep(LOOK_AT_ONCE).await;
        }
    }

    /// How long calls take, one after another, and how many are answered in a second, eight at a time.
    async fn operations(&mut self, calls: usize) -> Result<()> {
        let client = self.installation.codepipeline.clone();
        pipelines::create(&client, &self.installation.places, "started", &[vec![(1, Kind::Synchronous)]]).await?;
        let empty = self.installation.empty.clone();
        let nothing = || async { empty.get_pipeline_state().name("any").send().await.map(|_| ()).map_err(Into::into) };
        let least = self.rate("(a function that does nothing behind such an API)", calls, None, nothing).await?;
        let state = || async { client.get_pipeline_state().name("chain").send().await.map(|_| ()).map_err(Into::into) };
        self.rate("GetPipelineState", calls, Some((least, 1.2)), state).await?;
        let start =
            || async { client.start_pipeline_execution().name("started").send().await.map(|_| ()).map_err(Into::into) };
        self.rate("StartPipelineExecution", calls, Some((least, 1.3)), start).await?;
        // What was started must not disturb what is measured next.
        pipelines::rest(&client, "started").await
    }

    /// How long a call takes, beside `least` where its budget is given, and how many are answered in a second; returns
    /// its median in milliseconds.
    async fn rate<F>(
        &mut self,
        operation: &str,
        calls: usize,
        least: Option<(f64, f64)>,
        call: impl Fn() -> F,
    ) -> Result<f64>
    where
        F: Future<Output = Result<()>>,
    {
        let mut times = Vec::new();
        for _ in 0..calls {
            let began = Instant::now();
            call().await?;
            times.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        let time = median(&times).context("nothing was called")?;
        match least {
            Some((least, budget)) => self.row(operation.into(), time, "ms", Some(time / least), Some(budget)),
            None => self.row(operation.into(), time, "ms", Some(time / self.floor), None),
        }
        let began = Instant::now();
        let all = futures::stream::iter(0..calls).map(|_| call()).buffer_unordered(8);
        all.try_collect::<Vec<()>>().await?;
        let rate = calls as f64 / began.elapsed().as_secs_f64();
        // In the time of the floor.
        let share = rate * self.floor / 1_000.0;
        let figure = format!("({}, 8 at a time)", operation.trim_matches(['(', ')']));
        self.row(figure, rate, "/s", Some(share), None);
        Ok(time)
    }

    /// Write requests an action: what a pipeline of twice as many actions needs more, by a proxy before DynamoDB.
    async fn writes(&mut self, actions: usize) -> Result<()> {
        let proxy = Proxy::start(&self.installation.stack.endpoint).await?;
        self.installation.lead_writers_to(&proxy.url).await?;
        let chain = |kind| move |count: usize| vec![(1..).take(count).map(|order| (order, kind)).collect()];
        let stages = |count: usize| vec![vec![(1, Kind::Synchronous)]; count];
        let kinds: [Shape<'_>; 3] = [
            ("writes, synchronous action", &chain(Kind::Synchronous), Some(2.0)),
            ("writes, asynchronous action", &chain(Kind::Asynchronous), Some(3.0)),
            ("(writes, synchronous action, each in a stage)", &stages, None),
        ];
        for (number, (figure, shape, budget)) in kinds.into_iter().enumerate() {
            let mut counts = Vec::new();
            for count in [actions, actions * 2] {
                let pipeline = format!("writes-{number}-{count}");
                let client = &self.installation.codepipeline;
                pipelines::create(client, &self.installation.places, &pipeline, &shape(count)).await?;
                let before = proxy.writes();
                pipelines::run(client, &pipeline).await?;
                // Late polls may still come.
                tokio::time::sleep(Duration::from_secs(2)).await;
                counts.push((proxy.writes() - before) as f64);
            }
            ensure!(counts[0] > 0.0, "no write request came by the proxy");
            self.row(figure.into(), (counts[1] - counts[0]) / actions as f64, "", None, budget);
        }
        Ok(())
    }

    async fn sizes(&mut self) -> Result<()> {
        for function in FUNCTIONS {
            let size = self.installation.package_size(function).await?;
            self.row(format!("(package of {function}, profile {PROFILE})"), size as f64 / 1e6, "MB", None, None);
        }
        Ok(())
    }
}

/// First, median and last of several groups.
#[derive(Default)]
struct Each {
    first: Vec<f64>,
    median: Vec<f64>,
    last: Vec<f64>,
}

impl Each {
    fn add(&mut self, times: Vec<f64>) {
        self.first.extend(times.iter().copied().reduce(f64::min));
        self.last.extend(times.iter().copied().reduce(f64::max));
        self.median.extend(median(&times));
    }
}
