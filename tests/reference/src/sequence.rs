//! Random sequences of commands, both sides driven with them, and the shortest sequence on which they disagree.

use std::fmt;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::adapter::Adapter;
use crate::command::{ActionStatus, Command, Mode, Place, Refused, Seen, Shape, StageStatus, Visit};
use crate::model::Model;

/// What a sequence is like: how often what is tried.
struct Temper {
    /// How many commands there are.
    length: usize,
    /// Of a hundred commands, how many are starts.
    starts: u32,
    /// Whether transitions are closed now and then.
    closes: bool,
    /// Whether the mode is changed.
    changes: bool,
}

impl Temper {
    fn random(rng: &mut StdRng) -> Self {
        // Now and then so many starts that the limit of executions is reached.
        let many = rng.random_bool(0.02);
        Self {
            length: if many { rng.random_range(60..=120) } else { rng.random_range(1..=60) },
            starts: if many { 70 } else { rng.random_range(3..30) },
            closes: rng.random_bool(0.6),
            changes: rng.random_bool(0.3),
        }
    }
}

/// What the engine is given in place of the model's pipeline.
pub type Fault = fn(&Shape) -> Shape;

/// A pipeline and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Decides what is not to be seen, for example the order of outbox.
    pub seed: u64,
    /// The pipeline that both sides begin with.
    pub shape: Shape,
    /// The commands, in order.
    pub commands: Vec<Command>,
}

/// What both sides did with a sequence, up to the first command on which they differ.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// The shortest sequence on which the sides were found to differ.
    pub sequence: Sequence,
    /// What each side answered and showed after each command, and where the engine itself gave up.
    pub history: Vec<Row>,
}

/// One command and both answers.
#[derive(Clone, Debug)]
pub struct Row {
    /// The command that both sides were given.
    pub command: Command,
    /// The model's answer and what it shows.
    pub model: (Result<(), Refused>, Seen),
    /// The engine's; an error when it refused what it must not.
    pub engine: Result<(Result<(), Refused>, Seen), String>,
}

impl Row {
    fn agrees(&self) -> bool {
        self.engine.as_ref().is_ok_and(|engine| *engine == self.model)
    }
}

/// How often what happened in sequences that agree.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Commands that both did.
    pub done: u64,
    /// Commands that both refused.
    pub refused: u64,
    /// Executions that were started.
    pub runs: u64,
    /// By status at the end, as text.
    pub statuses: std::collections::BTreeMap<String, u64>,
}

impl Counts {
    /// Adds the counts of another sequence.
    pub fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.runs += other.runs;
        for (status, count) in &other.statuses {
            *self.statuses.entry(status.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands done, {} refused; {} executions:", self.done, self.refused, self.runs)?;
        for (status, count) in &self.statuses {
            write!(f, " {status} {count}")?;
        }
        Ok(())
    }
}

impl Sequence {
    /// The sequence of a seed.
    pub fn random(seed: u64) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let shape = shape(rng);
        let temper = Temper::random(rng);
        let mut model = Model::new(&shape);
        let mut commands = Vec::new();
        for _ in 0..temper.length {
            let command = command(rng, &shape, &model.seen(), &temper);
            // What the model refuses stays in the sequence: the engine must refuse it too.
            let _ = model.apply(&command);
            commands.push(command);
        }
        Self { seed, shape, commands }
    }

    /// Drives both sides; the rows end with the first disagreement, if there is one. The engine gets the pipeline that
    /// `fault` makes of the shape.
    fn play(&self, fault: Fault) -> Result<Vec<Row>> {
        let mut model = Model::new(&self.shape);
        let mut engine = Adapter::new(&fault(&self.shape), self.seed)?;
        let mut rows = Vec::new();
        for command in &self.commands {
            if command.run().is_some_and(|run| run >= model.seen().runs.len()) {
                continue;
            }
            let answer = model.apply(command);
            let other = engine.apply(command).and_then(|answer| Ok((answer, engine.seen()?)));
            let other = other.map_err(|error| format!("{error:#}"));
            rows.push(Row { command: *command, model: (answer, model.seen()), engine: other });
            if rows.last().is_some_and(|row| !row.agrees()) {
                break;
            }
        }
        Ok(rows)
    }

    /// How many executions there are in the end.
    fn runs(&self) -> usize {
        let mut model = Model::new(&self.shape);
        for command in &self.commands {
            if command.run().is_none_or(|run| run < model.seen().runs.len()) {
                let _ = model.apply(command);
            }
        }
        model.seen().runs.len()
    }

    fn disagrees(&self, fault: Fault) -> Result<bool> {
        Ok(self.play(fault)?.last().is_some_and(|row| !row.agrees()))
    }

    /// Whether both sides agree on all of it; otherwise the shortest part of it on which they do not.
    ///
    /// # Errors
    /// When the shape is no valid declaration.
    pub fn check(&self) -> Result<Result<Counts, Box<Disagreement>>> {
        self.check_with(Shape::clone)
    }

    /// The same with an engine that is given another pipeline than the model: how the comparison itself is tested.
    ///
    /// # Errors
    /// When a shape is no valid declaration.
    pub fn check_with(&self, fault: Fault) -> Result<Result<Counts, Box<Disagreement>>> {
        let rows = self.play(fault)?;
        if rows.last().is_some_and(|row| !row.agrees()) {
            let sequence = self.clone().shrunk(fault)?;
            let history = sequence.play(fault)?;
            return Ok(Err(Box::new(Disagreement { sequence, history })));
        }
        let mut counts = Counts::default();
        for row in &rows {
            *(if row.model.0.is_ok() { &mut counts.done } else { &mut counts.refused }) += 1;
        }
        for run in rows.last().map_or(&[][..], |row| &row.model.1.runs) {
            counts.runs += 1;
            *counts.statuses.entry(format!("{:?}", run.status)).or_default() += 1;
        }
        Ok(Ok(counts))
    }

    /// Takes away what can be taken away, commands first, then actions and stages, as long as the sides disagree.
    fn shrunk(mut self, fault: Fault) -> Result<Self> {
        self.commands.truncate(self.play(fault)?.len().max(1));
        loop {
            let mut smaller: Vec<Self> = Vec::new();
            for index in (0..self.commands.len()).rev() {
                let mut less = self.clone();
                less.commands.remove(index);
                // Executions after the one that it began have smaller numbers now.
                let begun = |end: usize| Self { commands: self.commands[..end].to_vec(), ..self.clone() }.runs();
                let number = begun(index);
                if begun(index + 1) > number {
                    less.commands.iter_mut().skip(index).for_each(|command| command.renumber(number));
                }
                smaller.push(less);
            }
            for (stage, orders) in self.shape.stages.iter().enumerate() {
                for action in (0..orders.len()).filter(|_| orders.len() > 1) {
                    let mut less = self.clone();
                    less.shape.stages[stage].remove(action);
                    less.commands.retain_mut(|command| command.without(stage, action));
                    smaller.push(less);
                }
            }
            if self.shape.stages.len() > 2 {
                let mut less = self.clone();
                less.shape.stages.pop();
                less.commands.retain(|command| command.stage().is_none_or(|stage| stage < less.shape.stages.len()));
                smaller.push(less);
            }
            let mut found = None;
            for less in smaller {
                if less.disagrees(fault)? {
                    found = Some(less);
                    break;
                }
            }
            match found {
                Some(less) => self = less,
                None => return Ok(self),
            }
        }
    }
}

impl Command {
    /// After the start of execution `gone` has been taken away, later ones have smaller numbers.
    fn renumber(&mut self, gone: usize) {
        match self {
            Self::Finish { run, .. } | Self::Stop { run, .. } | Self::Retry { run, .. } => {
                *run -= usize::from(*run > gone)
            }
            Self::Rollback { target, .. } => *target -= usize::from(*target > gone),
            Self::Start | Self::Close(_) | Self::Open(_) | Self::Change(_) | Self::Month | Self::Delete => (),
        }
    }

    /// After the action has been taken away, later ones have smaller numbers. Whether the command still means any.
    fn without(&mut self, from: usize, gone: usize) -> bool {
        match self {
            Self::Finish { stage, action, .. } if *stage == from => {
                let same = *action == gone;
                *action -= usize::from(*action > gone);
                !same
            }
            _ => true,
        }
    }

    fn stage(&self) -> Option<usize> {
        match self {
            Self::Finish { stage, .. } | Self::Retry { stage, .. } | Self::Rollback { stage, .. } => Some(*stage),
            Self::Close(stage) | Self::Open(stage) => Some(*stage),
            Self::Start | Self::Stop { .. } | Self::Change(_) | Self::Month | Self::Delete => None,
        }
    }
}

fn shape(rng: &mut StdRng) -> Shape {
    let stages = (0..rng.random_range(2..=4))
        .map(|stage| {
            let count = [1, 1, 2, 3, 4][rng.random_range(0..5)];
            // All sources have the same run order, which is a rule of the declaration.
            (0..count).map(|_| if stage == 0 { 1 } else { rng.random_range(1..=3) }).collect()
        })
        .collect();
    Shape { mode: MODES[rng.random_range(0..MODES.len())], stages }
}

const MODES: [Mode; 3] = [Mode::Superseded, Mode::Queued, Mode::Parallel];

/// Something that could happen next: mostly what has a meaning, sometimes anything.
fn command(rng: &mut StdRng, shape: &Shape, seen: &Seen, temper: &Temper) -> Command {
    let stage = rng.random_range(0..shape.stages.len());
    if !seen.runs.is_empty() && rng.random_bool(0.05) {
        // Anything at all, whether or not it has a meaning.
        let (run, abandon) = (rng.random_range(0..seen.runs.len()), rng.random());
        let action = rng.random_range(0..shape.stages[stage].len());
        return match rng.random_range(0..4) {
            0 => Command::Finish { run, stage, action, well: rng.random() },
            1 => Command::Stop { run, abandon },
            2 => Command::Retry { run, stage, all: abandon },
            _ => Command::Rollback { target: run, stage },
        };
    }
    if rng.random_range(0..100) < temper.starts {
        return Command::Start;
    }
    match rng.random_range(0..200) {
        40..52 if temper.closes => Command::Close(stage),
        52..68 if temper.closes => Command::Open(stage),
        68..70 if temper.changes => Command::Change(MODES[rng.random_range(0..MODES.len())]),
        70 => Command::Delete,
        110..112 if temper.closes => Command::Month,
        71..80 => {
            let open = |run: &usize| seen.runs[*run].place != Place::Out;
            chosen(rng, (0..seen.runs.len()).filter(open))
                .map_or(Command::Start, |run| Command::Stop { run, abandon: rng.random() })
        }
        80..100 => chosen(rng, visits(seen).filter(|(_, _, visit)| has(visit, ActionStatus::Failed) || stopped(visit)))
            .map_or(Command::Start, |(run, stage, _)| Command::Retry { run, stage, all: rng.random_bool(0.3) }),
        100..110 => chosen(rng, visits(seen).filter(|(_, _, visit)| visit.status == StageStatus::Succeeded))
            .map_or(Command::Start, |(target, stage, _)| Command::Rollback { target, stage }),
        _ => {
            let running = visits(seen).flat_map(|(run, stage, visit)| {
                let running = |action: &usize| visit.actions[*action] == ActionStatus::InProgress;
                (0..visit.actions.len()).filter(running).map(move |action| (run, stage, action))
            });
            chosen(rng, running).map_or(Command::Start, |(run, stage, action)| Command::Finish {
                run,
                stage,
                action,
                well: rng.random_bool(0.85),
            })
        }
    }
}

fn chosen<T>(rng: &mut StdRng, from: impl Iterator<Item = T>) -> Option<T> {
    let mut all: Vec<T> = from.collect();
    if all.is_empty() { None } else { Some(all.swap_remove(rng.random_range(0..all.len()))) }
}

/// The latest attempts of all executions at all stages.
fn visits(seen: &Seen) -> impl Iterator<Item = (usize, usize, &Visit)> {
    seen.runs.iter().enumerate().flat_map(|(run, each)| {
        let visits = each.visits.iter().enumerate();
        visits.filter_map(move |(stage, visit)| Some((run, stage, visit.as_ref()?)))
    })
}

fn has(visit: &Visit, status: ActionStatus) -> bool {
    visit.actions.contains(&status)
}

fn stopped(visit: &Visit) -> bool {
    visit.status == StageStatus::Stopped
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sequence { seed, shape, .. } = &self.sequence;
        writeln!(f, "seed {seed}, {:?}, run orders by stage {:?}", shape.mode, shape.stages)?;
        for (index, row) in self.history.iter().enumerate() {
            if row.agrees() {
                writeln!(f, "- {}: both {}", row.command, answer(&row.model.0))?;
                if index + 2 == self.history.len() {
                    writeln!(f, "{}", row.model.1)?;
                }
                continue;
            }
            writeln!(f, "- {}\n  model: {}\n{}", row.command, answer(&row.model.0), row.model.1)?;
            match &row.engine {
                Ok((engine, seen)) => writeln!(f, "  engine: {}\n{seen}", answer(engine))?,
                Err(error) => writeln!(f, "  engine gave up: {error}")?,
            }
        }
        Ok(())
    }
}

fn answer(answer: &Result<(), Refused>) -> String {
    answer.map_or_else(|refused| format!("refuse it: {refused:?}"), |()| "do it".into())
}
