//! The stages of a pipeline, drawn: a channel from left to right, with a gate before each stage, and in each stage the groups of
//! its actions from top to bottom, those of one group side by side.

use std::collections::{BTreeMap, HashSet};

use engine::{ActionRun, ConditionRun, Execution, StageLock, StageRun};
use maud::{Markup, html};
use pages::{State, ago, name, shown, since, took_words};
use pictures::states;
use pipeline::{Action, Condition, ConditionKind, ExecutionMode, PipelineType, Stage};

use crate::address;
use crate::board::{Board, Column, WAITING};
use crate::change;
use crate::screens::{acts, parts};

/// What is selected on the page.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// A stage's name; empty where nothing is selected.
    pub stage: &'a str,
    /// The name of an action in it.
    pub action: &'a str,
    /// The place of a stage that is drawn whole, from 0, where not all are. A version with other stages may have another one there.
    pub open: Option<usize>,
    /// The execution that the page shows, as the address names it; empty for who entered each stage last.
    pub execution: &'a str,
}

/// From so many stages on, a map stands above the drawing.
const MAPPED: usize = 5;
/// How much of a stage's name the map shows, in characters.
const MAPPED_NAME: usize = 40;
/// How much of a failure's message a card shows, in characters; the panel has all of it.
const SAID: usize = 240;

/// Pipelines of more actions than this, or of more stages than the next, are not drawn whole: the address chooses a stage whose
/// actions are, and of the others it is told how many of their actions stand how.
const WHOLE_ACTIONS: usize = 60;
/// Pipelines of more stages than this are drawn folded, however few actions they have.
const WHOLE_STAGES: usize = 15;
/// Actions of folded stages that are drawn since they need attention, and of one of them.
const ATTENTION: (usize, usize) = (30, 3);

/// What is drawn, and how.
#[derive(Clone, Copy)]
pub struct Drawing<'a> {
    /// The stages, with what is in them.
    pub board: &'a Board,
    /// The stage and action whose panel is open, and the execution that is shown: what the address names.
    pub selected: Selected<'a>,
    /// The region in which the pipeline lives.
    pub home: &'a str,
    /// In milliseconds since 1970.
    pub now: i64,
    /// Whether its buttons are there.
    pub acts: bool,
}

impl Drawing<'_> {
    /// All stages side by side, after a row of marks that lead to them where they are folded.
    pub fn draw(&self) -> Markup {
        let columns = &self.board.columns;
        let folded = is_large(columns);
        let attention = if folded { attention(columns) } else { HashSet::new() };
        html! {
            @if columns.len() >= MAPPED { (map(columns)) }
            div class="flow" id="flow" {
                (parts::gates())
                @for (place, column) in columns.iter().enumerate() {
                    @let open = !folded || self.selected.open == Some(place) || column.stage().name.as_str() == self.selected.stage;
                    (self.gate(column, place, open))
                    (self.stage(column, place, if open { None } else { Some(&attention) }))
                }
            }
        }
    }
}

fn is_large(columns: &[Column]) -> bool {
    let actions = columns.iter().map(|column| column.stage().actions.len()).sum::<usize>();
    actions > WHOLE_ACTIONS || columns.len() > WHOLE_STAGES
}

/// The actions (by the place of their stage and their index) that failed, wait for somebody or run, as many as are drawn.
fn attention(columns: &[Column]) -> HashSet<(usize, usize)> {
    let (all, of_one) = ATTENTION;
    let needs = |state| [State::Failed, State::Waiting, State::InProgress].contains(&state);
    let of = |(place, column)| {
        let indices = (0..Column::stage(column).actions.len()).filter(move |index| needs(action(column, *index).0));
        indices.take(of_one).map(move |index| (place, index))
    };
    columns.iter().enumerate().flat_map(of).take(all).collect()
}

/// All stages on one line, each a link to its place in the drawing.
fn map(columns: &[Column]) -> Markup {
    html! {
        nav class="map" aria-label="Stages" {
            ol class="strip" {
                @for (place, column) in columns.iter().enumerate() {
                    @let (state, word) = seen(column);
                    @let words = cut(column.stage().name.as_str(), MAPPED_NAME);
                    li class=(state.class()) { a href={ "#stage-" (place) } title={ (words) ": " (word) } { (state.wordless_mark()) } }
                }
            }
        }
    }
}

fn seen(column: &Column) -> states::Seen {
    column.run.as_ref().map_or((State::DidNotRun, State::DidNotRun.word()), |run| states::stage(run, &column.of))
}

/// How an action of a stage stands.
fn action(column: &Column, index: usize) -> states::Seen {
    let run = column.run.as_ref().and_then(|stage| stage.actions.get(index));
    let declared = column.stage().actions.get(index);
    run.map_or((State::DidNotRun, State::DidNotRun.word()), |run| states::action(run, declared))
}

impl Drawing<'_> {
    fn gate(&self, column: &Column, place: usize, open: bool) -> Markup {
        let nobody = StageLock::default();
        let lock = column.lock.as_ref().unwrap_or(&nobody);
        let closed = lock.transition.disabled;
        // Nothing comes before the first stage but executions that wait for it.
        if place == 0 && lock.waiting.is_empty() && !closed {
            return html! { div class="first" {} };
        }
        let stage = column.stage();
        let pipeline = self.board.head.pipeline.as_str();
        let wide = closed || !lock.waiting.is_empty();
        html! {
            div class={ "gate" @if closed { " closed" } @if wide { " wide" } } data-k={ "gate-" (place) } {
                (parts::gate(closed))
                @if column.lock.is_some() && (open || closed) {
                    p class="state" {
                        @if closed { "transition closed" @if let Some(by) = lock.transition.changed_by.as_deref().filter(|by| !by.is_empty()) { " by " bdi title=(shown(by)) { (shown(by.rsplit(['/', ':']).next().unwrap_or(by))) } } }
                        @else { span class="vh" { "The transition is open" } }
                    }
                    @if closed {
                        @if let Some(reason) = lock.transition.reason.as_deref() { p class="text" { "“" (name(reason)) "”" } }
                        @if let Some(at) = lock.transition.changed_at { p { (ago(at.0, self.now)) } }
                    }
                }
                @if open { (parts::goods(&column.of, column.index)) }
                @if !lock.waiting.is_empty() { (self.queue(stage, lock)) }
                @if self.acts && open && place > 0 && column.lock.is_some() { (acts::transition(pipeline, &stage.name, closed)) }
            }
        }
    }

    /// Who waits in front of a stage.
    fn queue(&self, stage: &Stage, lock: &StageLock) -> Markup {
        html! {
            ol class="queue" aria-label={ "In front of " (stage.name) } {
                @for waiting in lock.waiting.iter().take(WAITING) {
                    li {
                        a href=(address::execution(self.board.head.pipeline.as_str(), waiting.execution)) { "#" (waiting.number) }
                        " " @if let Some(it) = self.board.executions.get(&waiting.execution) { (change::line(it)) }
                        " " span class="soft" { (since(waiting.since.0, self.now)) }
                    }
                }
                @if lock.waiting.len() > WAITING { li { "and " (lock.waiting.len() - WAITING) " more" } }
            }
        }
    }

    /// A stage. `folded`: the actions that are drawn all the same, where not all are.
    fn stage(&self, column: &Column, place: usize, folded: Option<&HashSet<(usize, usize)>>) -> Markup {
        let (state, word) = seen(column);
        let declared = column.stage();
        html! {
            section class={ "stage " (state.class()) } id={ "stage-" (place) } tabindex="-1" aria-labelledby={ "name-" (place) } {
                header {
                    div class="title" { h2 class="thing" id={ "name-" (place) } { (name(declared.name.as_str())) } (state.badge(word)) }
                    @let before = place.checked_sub(1).and_then(|before| self.board.columns.get(before)).filter(|_| folded.is_some());
                    (self.entered(column, before.and_then(|before| before.run.as_ref())))
                }
                @match folded {
                    Some(attention) => (self.folded(column, place, attention)),
                    None => {
                        (self.groups(column))
                        @if self.acts { (stage_acts(self.board, column)) }
                    }
                }
            }
        }
    }

    /// Who entered a stage last, and when. `before`: what is in the stage before, if its change need not be said again.
    fn entered(&self, column: &Column, before: Option<&StageRun>) -> Markup {
        let run = column.run.as_ref();
        let said = run.zip(before).is_some_and(|(run, before)| run.execution == before.execution);
        html! {
            @match (run, run.and_then(|run| self.board.executions.get(&run.execution))) {
                (Some(run), Some(execution)) => {
                    @if !said {
                        p class="rev" {
                            a href=(address::execution(self.board.head.pipeline.as_str(), execution.id)) { "#" (execution.number) } " "
                            @if run.rolls_back { "rolls back to " }
                            (change::line(execution))
                        }
                    }
                    p class="small soft" {
                        @if said { "#" (execution.number) ", " }
                        @if run.status.is_open() { "for " (since(run.started.0, self.now)) }
                        @else { (ago(run.updated.0, self.now)) ", took " (took_words(run.updated.since(run.started))) }
                        @if run.attempt > 1 { ", attempt " (run.attempt) }
                    }
                }
                (Some(_), None) => { p class="small soft" { "of an execution that is no longer kept" } }
                _ => { p class="small soft" { "nothing has been here" } }
            }
        }
    }

    /// How many of a stage's actions stand how, those that need attention, and the way to all of them.
    fn folded(&self, column: &Column, place: usize, attention: &HashSet<(usize, usize)>) -> Markup {
        let stage = column.stage();
        let mut counts: BTreeMap<states::Seen, usize> = BTreeMap::new();
        for index in 0..stage.actions.len() {
            *counts.entry(action(column, index)).or_default() += 1;
        }
        let needs = stage.actions.iter().enumerate().filter(|(index, _)| attention.contains(&(place, *index)));
        let needs: Vec<(usize, &Action)> = needs.collect();
        let all = address::with("", &[("execution", self.selected.execution), ("open", &place.to_string())]);
        html! {
            div class="folded" {
                p {
                    @for (index, ((_, word), count)) in counts.iter().enumerate() { @if index > 0 { ", " } (count) " " (word) }
                }
                @if !needs.is_empty() { (self.cards(column, needs)) }
                a href={ (all) "#stage-" (place) } data-soft { "Show all" }
            }
        }
    }

    fn groups(&self, column: &Column) -> Markup {
        let declared = column.stage();
        let condition = |kind| declared.condition(kind).map(|it| self.conditioned(column, kind, it));
        html! {
            div class="groups" {
                (condition(ConditionKind::BeforeEntry).unwrap_or_default())
                @for (order, group) in parts::grouped(declared) {
                    (parts::beside(order, group.len(), &self.cards(column, group)))
                }
                (condition(ConditionKind::OnSuccess).unwrap_or_default())
                (condition(ConditionKind::OnFailure).unwrap_or_default())
            }
        }
    }

    fn cards(&self, column: &Column, actions: Vec<(usize, &Action)>) -> Markup {
        html! {
            ul class="actions" {
                @for (index, action) in actions { li data-k={ "a" (index) } { (self.card(column, index, action)) } }
            }
        }
    }

    fn card(&self, column: &Column, index: usize, action: &Action) -> Markup {
        let run = column.run.as_ref().and_then(|stage| stage.actions.get(index));
        let (state, word) = self::action(column, index);
        let stage = column.stage().name.as_str();
        let selected = self.selected;
        let here = (selected.stage == stage && selected.action == action.name.as_str()).then_some("true");
        let query = [("execution", selected.execution), ("stage", stage), ("action", action.name.as_str())];
        let failure = run.and_then(|run| run.error.as_ref()).filter(|_| state == State::Failed);
        html! {
            a class={ "action " (state.class()) } href={ (address::with("", &query)) "#panel" } data-soft aria-current=[here] {
                (state.mark_as(word))
                span class="an" { (name(action.name.as_str())) }
                span class="t" { (duration(run, self.now)) }
                span class="who" {
                    (parts::provider(action, self.home))
                    @if let Some(percent) = run.filter(|run| run.status.in_flight()).and_then(|run| run.percent) { " " (percent) " %" }
                    @if state == State::Waiting { " " strong { "waits for a person" } }
                }
                @if let Some(failure) = failure { span class="said" { (cut(&failure.message, SAID)) } }
            }
        }
    }

    fn conditioned(&self, column: &Column, kind: ConditionKind, declared: &Condition) -> Markup {
        let run: Option<(&StageRun, &ConditionRun)> =
            column.run.as_ref().and_then(|stage| Some((stage, stage.condition(kind)?)));
        let (state, word) =
            run.map_or((State::DidNotRun, State::DidNotRun.word()), |(_, it)| states::condition(it.status));
        let overridable = run.is_some_and(|(_, it)| {
            matches!(it.status, engine::ConditionStatus::Failed | engine::ConditionStatus::InProgress)
        });
        html! {
            div class={ "cond " (state.class()) } data-k={ "condition-" (parts::title(kind)) } {
                div { strong { (parts::title(kind)) } " " (state.badge(word)) }
                ul class="rules" {
                    @for (index, rule) in declared.rules.iter().enumerate() {
                        @let ran = run.and_then(|(_, it)| it.rules.get(index));
                        @let (state, word) = ran.map_or((State::DidNotRun, "did not run"), |run| states::action(run, Some(rule)));
                        li {
                            (state.mark_as(word)) " " (name(rule.name.as_str())) " " span class="soft" { (shown(&rule.type_id.provider)) " " (duration(ran, self.now)) }
                            @if let Some(error) = ran.and_then(|run| run.error.as_ref()) { div class="text small" { (cut(&error.message, SAID)) } }
                        }
                    }
                }
                @if let Some(by) = run.and_then(|(_, it)| it.overridden_by.as_deref()) { p class="small soft" { "overridden by " (name(by)) } }
                @if let (true, true, Some((stage, _))) = (self.acts, overridable, run) {
                    div class="acts" { (acts::override_condition(self.board.head.pipeline.as_str(), stage, kind)) }
                }
            }
        }
    }
}

fn stage_acts(board: &Board, column: &Column) -> Markup {
    let Some(run) = &column.run else { return html! {} };
    let pipeline = board.head.pipeline.as_str();
    let asked = acts::asked(run, &column.of);
    let failed = run.status == engine::StageStatus::Failed;
    let rolls_back = board.pipeline.kind() == PipelineType::V2 && board.pipeline.mode() != ExecutionMode::Parallel;
    let back = rolls_back && column.index > 0 && !run.status.is_open();
    html! {
        @if failed || back || !asked.is_empty() {
            div class="acts" {
                @for place in asked { (acts::approval(pipeline, run, &column.of, place)) }
                @if failed { (acts::retry(pipeline, run)) }
                @if back { a class="button quiet" href=(address::with(&address::of(pipeline, "rollback"), &[("stage", run.name.as_str())])) { "Roll back…" } }
            }
        }
    }
}

/// How long an action has taken, or has been going on.
pub fn duration(run: Option<&ActionRun>, now: i64) -> Markup {
    match run.and_then(|run| Some((run, run.requested?))) {
        Some((run, began)) if run.status.in_flight() => since(began.0, now),
        Some((run, began)) => html! { (took_words(run.updated.unwrap_or(began).since(began))) },
        None => html! {},
    }
}

/// The beginning of a text of others: so many characters.
fn cut(text: &str, most: usize) -> String {
    let text = shown(text);
    let mut cut: String = text.chars().take(most).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// The attempt and the execution of a stage, where both are there.
pub fn of<'a>(board: &'a Board, column: &'a Column) -> Option<(&'a StageRun, &'a Execution)> {
    let run = column.run.as_ref()?;
    Some((run, board.executions.get(&run.execution)?))
}
