//! The release as a tree, live on a terminal and line by line elsewhere.

use std::time::{Instant, SystemTime};

use anyhow::Result;
use aws_sdk_codepipeline::operation::get_pipeline_state::GetPipelineStateOutput;
use aws_sdk_codepipeline::types::{ActionExecutionDetail, ActionExecutionStatus, ActionState};

use millrace::output::{outln, print};

/// Columns that every terminal has.
const NARROW: usize = 79;

/// Stages and actions with what has become of them in one release.
pub(super) struct Tree {
    live: bool,
    drawn: usize,
    began: Instant,
    /// When the object was put, in seconds since 1970.
    since: f64,
    stages: Vec<Stage>,
    /// Of the longest name of an action.
    width: usize,
    news: Vec<String>,
}

struct Stage {
    name: String,
    status: String,
    actions: Vec<Action>,
}

struct Action {
    name: String,
    status: Option<ActionExecutionStatus>,
    note: String,
    since: Instant,
    took: Option<f64>,
}

impl Action {
    fn is_running(&self) -> bool {
        self.status == Some(ActionExecutionStatus::InProgress)
    }

    fn line(&self, width: usize) -> String {
        let (mark, seconds) = match &self.status {
            None => ("·", String::new()),
            Some(ActionExecutionStatus::InProgress) => ("…", format!("{:.1} s", self.since.elapsed().as_secs_f64())),
            Some(ActionExecutionStatus::Succeeded) => ("✓", self.seconds()),
            Some(_) => ("✗", self.seconds()),
        };
        let status = self.status.as_ref().map_or("", ActionExecutionStatus::as_str);
        format!("{mark} {:<width$} {status:<11} {seconds:>7}  {}", self.name, self.note).trim_end().to_owned()
    }

    fn seconds(&self) -> String {
        self.took.map_or_else(String::new, |took| format!("{took:.1} s"))
    }
}

impl Tree {
    pub fn new(live: bool, since: SystemTime) -> Self {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Self { live, drawn: 0, began: Instant::now(), since, stages: Vec::new(), width: 0, news: Vec::new() }
    }

    /// Takes in the pipeline's state, as far as it is about this execution. Returns whether anything changed.
    pub fn update(&mut self, state: &GetPipelineStateOutput, execution: &str) -> bool {
        if self.stages.is_empty() {
            self.stages = state.stage_states().iter().map(new_stage).collect();
            let names = self.stages.iter().flat_map(|stage| &stage.actions).map(|action| action.name.chars().count());
            self.width = names.max().unwrap_or_default();
        }
        let mut changed = false;
        for (stage, now) in self.stages.iter_mut().zip(state.stage_states()) {
            let Some(latest) = now.latest_execution().filter(|it| it.pipeline_execution_id() == execution) else {
                continue;
            };
            changed |= stage.status != latest.status().as_str();
            latest.status().as_str().clone_into(&mut stage.status);
            for (action, now) in stage.actions.iter_mut().zip(now.action_states()) {
                if action.take(now, self.since) {
                    changed = true;
                    self.news.push(news(self.began, &stage.name, action, self.width));
                }
            }
        }
        changed
    }

    /// Takes in the actions of one execution, the oldest first. The state of a pipeline in PARALLEL mode does not have them.
    pub fn update_from_history(&mut self, executed: &[ActionExecutionDetail]) {
        for past in executed {
            let stages = self.stages.iter_mut().filter(|stage| past.stage_name() == Some(stage.name.as_str()));
            for stage in stages {
                for action in stage.actions.iter_mut().filter(|it| past.action_name() == Some(it.name.as_str())) {
                    if action.take_past(past) {
                        self.news.push(news(self.began, &stage.name, action, self.width));
                    }
                }
            }
        }
    }

    /// Whether the action of this stage and this name is running.
    pub fn is_running(&self, (stage, action): (&str, &str)) -> bool {
        let stages = self.stages.iter().filter(|it| it.name == stage);
        stages.flat_map(|it| &it.actions).any(|it| it.name == action && it.is_running())
    }

    /// Redraws all stages on a terminal; elsewhere, prints what has changed since the last call.
    pub fn draw(&mut self) -> Result<()> {
        let news = std::mem::take(&mut self.news);
        if !self.live {
            for line in news {
                outln!("{line}")?;
            }
            return Ok(());
        }
        self.erase()?;
        let mut lines = Vec::new();
        for stage in &self.stages {
            lines.push(format!("{}  {}", stage.name, stage.status));
            for (index, action) in stage.actions.iter().enumerate() {
                let branch = if index + 1 == stage.actions.len() { "└─" } else { "├─" };
                lines.push(format!("{branch} {}", action.line(self.width)));
            }
        }
        self.drawn = lines.len();
        for line in lines {
            // A line that a narrow terminal breaks would be two to take away.
            outln!("{}", line.chars().take(NARROW).collect::<String>())?;
        }
        Ok(())
    }

    /// Prints something that stays, above the tree.
    pub fn say(&mut self, text: &str) -> Result<()> {
        self.erase()?;
        outln!("{text}")?;
        if self.live { self.draw() } else { Ok(()) }
    }

    /// Takes the drawn lines away again: up, then clear to the end of the screen.
    fn erase(&mut self) -> Result<()> {
        match std::mem::take(&mut self.drawn) {
            0 => Ok(()),
            lines => print(format_args!("\x1b[{lines}A\x1b[J")),
        }
    }
}

fn news(began: Instant, stage: &str, action: &Action, width: usize) -> String {
    format!("{:>6.1} s  {stage} / {}", began.elapsed().as_secs_f64(), action.line(width))
}

fn new_stage(stage: &aws_sdk_codepipeline::types::StageState) -> Stage {
    let action = |action: &ActionState| Action {
        name: action.action_name().unwrap_or_default().to_owned(),
        status: None,
        note: String::new(),
        since: Instant::now(),
        took: None,
    };
    Stage {
        name: stage.stage_name().unwrap_or_default().to_owned(),
        status: String::new(),
        actions: stage.action_states().iter().map(action).collect(),
    }
}

impl Action {
    /// Takes in the latest execution of the action; returns whether its status is another one.
    fn take(&mut self, now: &ActionState, since: f64) -> bool {
        let Some(latest) = now.latest_execution() else { return false };
        let Some(status) = latest.status() else { return false };
        if latest.last_status_change().is_some_and(|changed| changed.as_secs_f64() < since) {
            return false; // an earlier release's end: the action has not begun in this one
        }
        let error = latest.error_details().and_then(|it| it.message());
        self.set(status, error.or(latest.summary()))
    }

    /// The same from the pipeline's history.
    fn take_past(&mut self, past: &ActionExecutionDetail) -> bool {
        let Some(status) = past.status() else { return false };
        let result = past.output().and_then(|it| it.execution_result());
        let error = result.and_then(|it| it.error_details()).and_then(|it| it.message());
        self.set(status, error.or(result.and_then(|it| it.external_execution_summary())))
    }

    fn set(&mut self, status: &ActionExecutionStatus, note: Option<&str>) -> bool {
        let first = self.status.is_none();
        if self.status.as_ref() == Some(status) {
            return false;
        }
        if first {
            self.since = Instant::now();
        }
        // One that was over when it was first seen is not timed here; the report at the end knows.
        if !first && *status != ActionExecutionStatus::InProgress {
            self.took = Some(self.since.elapsed().as_secs_f64());
        }
        self.note = note.unwrap_or_default().to_owned();
        self.status = Some(status.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_codepipeline::types::{ActionExecution, StageExecution, StageExecutionStatus, StageState};

    use super::*;

    fn state(execution: &str, status: ActionExecutionStatus) -> GetPipelineStateOutput {
        state_of(execution, status, SystemTime::now())
    }

    fn state_of(execution: &str, status: ActionExecutionStatus, changed: SystemTime) -> GetPipelineStateOutput {
        let action = ActionState::builder()
            .action_name("Approve")
            .latest_execution(
                ActionExecution::builder().status(status).summary("so far").last_status_change(changed.into()).build(),
            )
            .build();
        let stage = StageExecution::builder()
            .pipeline_execution_id(execution)
            .status(StageExecutionStatus::InProgress)
            .build()
            .unwrap();
        GetPipelineStateOutput::builder()
            .stage_states(
                StageState::builder().stage_name("Release").action_states(action).latest_execution(stage).build(),
            )
            .build()
    }

    #[test]
    fn only_this_release_counts() {
        let mut tree = Tree::new(false, SystemTime::now());
        assert!(!tree.update(&state("before", ActionExecutionStatus::InProgress), "now"));
        assert!(!tree.is_running(("Release", "Approve")));
        assert!(tree.update(&state("now", ActionExecutionStatus::InProgress), "now"));
        assert!(tree.is_running(("Release", "Approve")));
    }

    #[test]
    fn an_earlier_end_is_not_this_releases() {
        let mut tree = Tree::new(false, SystemTime::now());
        let earlier = SystemTime::now() - std::time::Duration::from_secs(60);
        assert!(tree.update(&state_of("now", ActionExecutionStatus::Failed, earlier), "now"), "the stage has changed");
        assert!(tree.stages[0].actions[0].status.is_none());
    }

    #[test]
    fn each_change_is_told_once() {
        let mut tree = Tree::new(false, SystemTime::now());
        tree.update(&state("now", ActionExecutionStatus::InProgress), "now");
        assert!(!tree.update(&state("now", ActionExecutionStatus::InProgress), "now"));
        assert!(tree.update(&state("now", ActionExecutionStatus::Succeeded), "now"));
        assert_eq!(tree.news.len(), 2);
        assert!(tree.news[1].contains("✓ Approve") && tree.news[1].contains("so far"), "{:?}", tree.news);
    }

    #[test]
    fn an_execution_that_the_state_does_not_have_is_told_from_history() {
        let mut tree = Tree::new(false, SystemTime::now());
        tree.update(&state("another", ActionExecutionStatus::Succeeded), "now");
        let past = |status| {
            ActionExecutionDetail::builder().stage_name("Release").action_name("Approve").status(status).build()
        };
        tree.update_from_history(&[past(ActionExecutionStatus::InProgress)]);
        assert!(tree.is_running(("Release", "Approve")));
        tree.update_from_history(&[past(ActionExecutionStatus::Succeeded)]);
        assert_eq!(tree.news.len(), 2);
        assert!(tree.news[1].contains("✓ Approve"), "{:?}", tree.news);
    }
}
