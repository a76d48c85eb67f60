//! The rules of the execution modes once more, written from CodePipeline's documentation and not from `engine`.
//!
//! It is meant to be read next to the user guide, so it does the simplest thing: [`Model::apply`] changes what the
//! command names, then [`Model::settle`] repeats the two rules by which executions move until none applies: an
//! execution inside a stage goes on ([`Model::proceed`]), an execution in front of one enters ([`Model::admit`]).
//!
//! Sources: CodePipeline user guide, 'How pipeline executions work', 'Set or change the pipeline execution mode',
//! 'Stop a pipeline execution', 'Configuring stage retry', 'Configuring stage rollback', 'Transitions'. Where these
//! are silent, a line that begins with "Assumed:" says what the model takes for granted.

use crate::command::{
    ActionStatus, Command, Mode, Place, Refused, Seen, SeenRun, SeenStage, Shape, StageStatus, Status, Visit,
};

/// Executions at once, in QUEUED and in PARALLEL mode.
const LIMIT: usize = 50;

/// A pipeline and its executions.
#[derive(Clone, Debug)]
pub struct Model {
    /// The current version, from 1, and its mode.
    version: u32,
    mode: Mode,
    /// By stage, the run orders of its actions.
    orders: Vec<Vec<u32>>,
    runs: Vec<Run>,
    /// By stage: since which month its transition is closed, if it is.
    closed: Vec<Option<u32>>,
    months: u32,
    /// By stage: who entered last.
    latest: Vec<Option<usize>>,
    deleted: bool,
    arrivals: u64,
}

#[derive(Clone, Debug)]
struct Run {
    /// The version with which it began.
    version: u32,
    mode: Mode,
    status: Status,
    place: Place,
    /// When it came to the place in front of a stage, as a count.
    arrived: u64,
    /// Whether it rolls a stage back.
    rollback: bool,
    /// Whether it is to be cancelled when its actions in progress have ended.
    outdated: bool,
    visits: Vec<Option<Visit>>,
}

impl Model {
    /// A new pipeline without executions.
    pub fn new(shape: &Shape) -> Self {
        let count = shape.stages.len();
        Self {
            version: 1,
            mode: shape.mode,
            orders: shape.stages.clone(),
            runs: Vec::new(),
            closed: vec![None; count],
            months: 0,
            latest: vec![None; count],
            deleted: false,
            arrivals: 0,
        }
    }

    /// Does what the command asks and all that follows from it.
    ///
    /// # Errors
    /// [`Refused`] when it changes nothing.
    pub fn apply(&mut self, command: &Command) -> Result<(), Refused> {
        match *command {
            Command::Finish { run, stage, action, well } => self.finish(run, stage, action, well)?,
            _ if self.deleted => return Err(Refused::NoPipeline),
            Command::Start => self.start()?,
            // Assumed, from 'Set or change the pipeline execution mode': without a pipeline state there are no transitions.
            Command::Close(_) | Command::Open(_) if self.mode == Mode::Parallel => return Err(Refused::NoTransitions),
            Command::Close(stage) => self.closed[stage] = Some(self.months),
            Command::Open(stage) => self.open(stage),
            Command::Month => self.months += 1,
            Command::Stop { run, abandon } => self.stop(run, abandon)?,
            Command::Retry { run, stage, all } => self.retry(run, stage, all)?,
            Command::Rollback { target, stage } => self.roll_back(target, stage)?,
            Command::Change(mode) => self.update(mode),
            Command::Delete => self.delete(),
        }
        self.settle();
        Ok(())
    }

    fn start(&mut self) -> Result<(), Refused> {
        self.within_limit(self.mode)?;
        let run = self.begin(false);
        self.arrive(run, 0);
        Ok(())
    }

    /// A new execution, which is nowhere yet.
    fn begin(&mut self, rollback: bool) -> usize {
        let visits = vec![None; self.orders.len()];
        let (version, mode, status) = (self.version, self.mode, Status::InProgress);
        self.runs.push(Run { version, mode, status, place: Place::Out, arrived: 0, rollback, outdated: false, visits });
        self.runs.len() - 1
    }

    /// Source: user guide, 'Troubleshooting' and 'Quotas': 50 executions at once in QUEUED and in PARALLEL mode.
    fn within_limit(&self, mode: Mode) -> Result<(), Refused> {
        let running = self.runs.iter().filter(|run| run.place != Place::Out).count();
        if mode != Mode::Superseded && running >= LIMIT { Err(Refused::TooMany) } else { Ok(()) }
    }

    fn finish(&mut self, run: usize, stage: usize, action: usize, well: bool) -> Result<(), Refused> {
        let status = self.runs[run].visits[stage].as_mut().and_then(|visit| visit.actions.get_mut(action));
        match status {
            Some(status) if *status == ActionStatus::InProgress => {
                *status = if well { ActionStatus::Succeeded } else { ActionStatus::Failed };
                Ok(())
            }
            _ => Err(Refused::NotInProgress),
        }
    }

    /// In a stage, "wait" lets the actions in progress end and starts no more, "abandon" gives them up; in front of one,
    /// either ends the execution at once.
    fn stop(&mut self, run: usize, abandon: bool) -> Result<(), Refused> {
        match (self.runs[run].status, self.runs[run].place) {
            (Status::InProgress, Place::Before(_)) => self.end(run, Status::Stopped),
            (Status::Stopping, _) if !abandon => return Err(Refused::StopsAlready),
            (Status::InProgress | Status::Stopping, Place::Inside(stage)) => {
                self.runs[run].status = Status::Stopping;
                self.mark(run, stage, StageStatus::Stopping);
                if abandon {
                    self.abandon(run, stage);
                }
            }
            _ => return Err(Refused::NotStoppable),
        }
        Ok(())
    }

    /// What failed runs again in the same execution, or all of the stage; then the execution goes on from there.
    fn retry(&mut self, run: usize, stage: usize, all: bool) -> Result<(), Refused> {
        let Some(visit) = &self.runs[run].visits[stage] else { return Err(Refused::NotRetryable) };
        // Not after the pipeline was updated. Assumed: in PARALLEL mode, where executions are independent of updates, as
        // long as the stage is the same.
        let outdated = self.runs[run].mode != Mode::Parallel && self.runs[run].version != self.version;
        if outdated {
            return Err(Refused::NotRetryable);
        }
        match visit.status {
            // Assumed: of a stopped stage, what was given up or had not begun runs.
            StageStatus::Failed | StageStatus::Stopped => (),
            // "All actions that are still in progress continue working, and failed actions are triggered again." All
            // actions are retried only where none is in progress.
            StageStatus::InProgress if visit.actions.contains(&ActionStatus::Failed) => {
                if all {
                    return Err(Refused::Busy);
                }
                let actions = self.runs[run].visits[stage].iter_mut().flat_map(|visit| &mut visit.actions);
                let failed = actions.filter(|status| **status == ActionStatus::Failed);
                failed.for_each(|status| *status = ActionStatus::InProgress);
                return Ok(());
            }
            _ => return Err(Refused::NotRetryable),
        }
        self.within_limit(self.runs[run].mode)?;
        // Another execution that entered the stage since takes the right to retry away. In PARALLEL there is no other.
        // Assumed: only what could be retried otherwise is refused for that reason.
        if self.runs[run].mode != Mode::Parallel && self.latest[stage] != Some(run) {
            return Err(Refused::NotLatest);
        }
        self.reset(run, stage, all);
        // Assumed: a closed transition does not matter to an execution that was in the stage already.
        self.runs[run].status = Status::InProgress;
        self.runs[run].place = Place::Inside(stage);
        Ok(())
    }

    /// What is retried has not begun again yet.
    fn reset(&mut self, run: usize, stage: usize, all: bool) {
        let again = |status: ActionStatus| all || matches!(status, ActionStatus::Failed | ActionStatus::Abandoned);
        let actions = self.runs[run].visits[stage].iter_mut().flat_map(|visit| &mut visit.actions);
        actions.filter(|status| again(**status)).for_each(|status| *status = ActionStatus::Idle);
        self.mark(run, stage, StageStatus::InProgress);
    }

    /// A new execution runs the stage once more, with what the target had.
    fn roll_back(&mut self, target: usize, stage: usize) -> Result<(), Refused> {
        let Run { version, mode, rollback, visits, .. } = &self.runs[target];
        let succeeded = visits[stage].as_ref().is_some_and(|visit| visit.status == StageStatus::Succeeded);
        let runs = self.locked_by(stage).is_some();
        // Neither in PARALLEL mode, nor the source stage, nor a running stage, nor to a rollback, nor to another version.
        let parallel = self.mode == Mode::Parallel || *mode == Mode::Parallel;
        // Assumed: of several reasons, this order.
        if parallel || stage == 0 {
            return Err(Refused::NoRollback);
        }
        if *version != self.version {
            return Err(Refused::Outdated);
        }
        if runs || *rollback || !succeeded {
            return Err(Refused::NoRollback);
        }
        // Assumed: it does not come from the stage before, so that a closed transition and who waits there do not matter.
        let run = self.begin(true);
        self.enter(run, stage);
        Ok(())
    }

    /// What waits in front of a transition that was closed for more than 30 days does not go on.
    /// Assumed: it is cancelled.
    fn open(&mut self, stage: usize) {
        if self.closed[stage].take().is_some_and(|since| since < self.months) {
            for run in self.waiting(stage) {
                self.end(run, Status::Cancelled);
            }
        }
    }

    /// "Active executions are cancelled after the in-progress actions complete, pending ones are cancelled"; those of mode
    /// PARALLEL go on. Assumed: one that is being stopped ends as stopped.
    fn update(&mut self, mode: Mode) {
        self.version += 1;
        self.mode = mode;
        for run in 0..self.runs.len() {
            match self.runs[run].place {
                _ if self.runs[run].mode == Mode::Parallel => (),
                Place::Before(_) => self.end(run, Status::Cancelled),
                Place::Inside(_) => self.runs[run].outdated = true,
                Place::Out => (),
            }
        }
    }

    /// Assumed: executions of a deleted pipeline are cancelled where they are and their actions given up.
    fn delete(&mut self) {
        self.deleted = true;
        for run in 0..self.runs.len() {
            if let Place::Inside(stage) = self.runs[run].place {
                self.abandon(run, stage);
                self.mark(run, stage, StageStatus::Cancelled);
            }
            if self.runs[run].place != Place::Out {
                self.end(run, Status::Cancelled);
            }
        }
    }

    /// Everything that follows without being asked for.
    fn settle(&mut self) {
        while (0..self.runs.len()).any(|run| self.proceed(run)) || (0..self.orders.len()).any(|stage| self.admit(stage))
        {
        }
    }

    /// An execution in a stage goes on when none of its actions is in progress any more. Whether it did anything.
    fn proceed(&mut self, run: usize) -> bool {
        let (status, Place::Inside(stage)) = (self.runs[run].status, self.runs[run].place) else { return false };
        let outdated = self.runs[run].outdated;
        let Some(visit) = &mut self.runs[run].visits[stage] else { return false };
        let any = |status| visit.actions.contains(&status);
        if any(ActionStatus::InProgress) {
            return false;
        }
        if status == Status::Stopping {
            // Assumed: a stage in which an action failed has failed, and one in which all succeeded has succeeded, also
            // if its execution is stopped.
            let done = visit.actions.iter().all(|status| *status == ActionStatus::Succeeded);
            let ended = match any(ActionStatus::Failed) {
                true => StageStatus::Failed,
                false if done => StageStatus::Succeeded,
                false => StageStatus::Stopped,
            };
            self.mark(run, stage, ended);
            self.end(run, Status::Stopped);
            return true;
        }
        if outdated {
            self.mark(run, stage, StageStatus::Cancelled);
            self.end(run, Status::Cancelled);
            return true;
        }
        // All actions of a stage must succeed; a failure ends the execution and releases the stage.
        if any(ActionStatus::Failed) {
            self.mark(run, stage, StageStatus::Failed);
            self.end(run, Status::Failed);
            return true;
        }
        // Actions of equal run order run together; the next ones wait for them.
        let orders = &self.orders[stage];
        let idle = || visit.actions.iter().zip(orders).filter(|(status, _)| **status == ActionStatus::Idle);
        if let Some(next) = idle().map(|(_, order)| *order).min() {
            for (status, order) in visit.actions.iter_mut().zip(orders) {
                if *status == ActionStatus::Idle && *order == next {
                    *status = ActionStatus::InProgress;
                }
            }
            return true;
        }
        self.mark(run, stage, StageStatus::Succeeded);
        // A rollback is of one stage.
        if stage + 1 == self.orders.len() || self.runs[run].rollback {
            self.end(run, Status::Succeeded);
        } else {
            self.arrive(run, stage + 1);
        }
        true
    }

    /// Someone who waits in front of the stage enters it, where the rules let one in. Whether one did.
    fn admit(&mut self, stage: usize) -> bool {
        let waiting = self.waiting(stage);
        let free = self.closed[stage].is_none() && self.locked_by(stage).is_none();
        // Assumed: a transition that was closed before the mode became PARALLEL holds nobody of that mode up.
        let next = waiting.iter().find(|run| free || self.runs[**run].mode == Mode::Parallel);
        let Some(run) = next.copied() else { return false };
        self.enter(run, stage);
        true
    }

    fn enter(&mut self, run: usize, stage: usize) {
        self.runs[run].place = Place::Inside(stage);
        let actions = vec![ActionStatus::Idle; self.orders[stage].len()];
        self.runs[run].visits[stage] = Some(Visit { status: StageStatus::InProgress, actions });
        if self.runs[run].mode != Mode::Parallel {
            self.latest[stage] = Some(run);
        }
    }

    /// An execution comes to the place in front of a stage.
    fn arrive(&mut self, run: usize, stage: usize) {
        self.arrivals += 1;
        self.runs[run].arrived = self.arrivals;
        self.runs[run].place = Place::Before(stage);
        // Only the most recent execution goes on where several would wait.
        // Assumed: "recent" is the time of the start, also where an older one arrives later.
        if self.runs[run].mode == Mode::Superseded {
            let waiting = self.waiting(stage);
            let newest = waiting.iter().max().copied();
            for overtaken in waiting.into_iter().filter(|run| Some(*run) != newest) {
                self.end(overtaken, Status::Superseded);
            }
        }
    }

    fn end(&mut self, run: usize, status: Status) {
        self.runs[run].status = status;
        self.runs[run].place = Place::Out;
    }

    fn mark(&mut self, run: usize, stage: usize, status: StageStatus) {
        if let Some(visit) = &mut self.runs[run].visits[stage] {
            visit.status = status;
        }
    }

    fn abandon(&mut self, run: usize, stage: usize) {
        let actions = self.runs[run].visits[stage].iter_mut().flat_map(|visit| &mut visit.actions);
        for status in actions.filter(|status| **status == ActionStatus::InProgress) {
            *status = ActionStatus::Abandoned;
        }
    }

    /// A stage is locked from the entry of an execution until it has left; in PARALLEL mode it is not.
    fn locked_by(&self, stage: usize) -> Option<usize> {
        self.runs.iter().position(|run| run.place == Place::Inside(stage) && run.mode != Mode::Parallel)
    }

    /// Who waits in front of a stage, in the order of arrival.
    fn waiting(&self, stage: usize) -> Vec<usize> {
        let before = |run: &usize| self.runs[*run].place == Place::Before(stage);
        let mut waiting: Vec<usize> = (0..self.runs.len()).filter(before).collect();
        waiting.sort_by_key(|run| self.runs[*run].arrived);
        waiting
    }

    /// What can be seen now.
    pub fn seen(&self) -> Seen {
        let stage = |stage: usize| SeenStage {
            closed: self.closed[stage].is_some(),
            locked_by: self.locked_by(stage),
            waiting: self.waiting(stage),
            latest: self.latest[stage],
        };
        let run = |run: &Run| SeenRun { status: run.status, place: run.place, visits: run.visits.clone() };
        // A deleted pipeline has no state to ask for.
        let stages = if self.deleted { 0 } else { self.orders.len() };
        Seen { runs: self.runs.iter().map(run).collect(), stages: (0..stages).map(stage).collect() }
    }
}
