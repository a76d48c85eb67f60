//! What is known of a build: the description that the API gives, changed as the build goes on.

use std::sync::Mutex;
use std::time::SystemTime;

use aws_sdk_codebuild::primitives::DateTime;
use aws_sdk_codebuild::types::{Build, BuildPhase, BuildPhaseType, PhaseContext, StatusType};
use tokio_util::sync::CancellationToken;

use crate::log::lock;

#[derive(Debug)]
pub(crate) struct Record {
    build: Mutex<Build>,
    /// Set by StopBuild.
    pub stop: CancellationToken,
}

pub(crate) fn now() -> DateTime {
    DateTime::from(SystemTime::now())
}

impl Record {
    pub(crate) fn new(build: Build) -> Self {
        Self { build: Mutex::new(build), stop: CancellationToken::new() }
    }

    /// The build as it stands.
    pub(crate) fn build(&self) -> Build {
        lock(&self.build).clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Build)) {
        change(&mut lock(&self.build));
    }

    /// Makes a phase the current one; it has no status until it ends.
    pub(crate) fn begin(&self, kind: BuildPhaseType) {
        self.change(|build| {
            build.current_phase = Some(kind.as_str().to_owned());
            build.phases.get_or_insert_default().push(BuildPhase::builder().phase_type(kind).start_time(now()).build());
        });
    }

    /// The phase that runs ends. Returns it as it is described from now on.
    pub(crate) fn end(&self, status: StatusType, context: Option<PhaseContext>) -> Option<BuildPhase> {
        let mut build = lock(&self.build);
        let phase = build.phases.as_mut()?.last_mut()?;
        let end = now();
        phase.phase_status = Some(status);
        phase.duration_in_seconds = phase.start_time.map(|start| end.secs() - start.secs());
        phase.end_time = Some(end);
        phase.contexts = context.map(|it| vec![it]);
        Some(phase.clone())
    }

    /// The build has ended.
    pub(crate) fn complete(&self, status: StatusType) {
        self.change(|build| {
            let end = now();
            build.current_phase = Some(BuildPhaseType::Completed.as_str().to_owned());
            let completed = BuildPhase::builder().phase_type(BuildPhaseType::Completed).start_time(end).build();
            build.phases.get_or_insert_default().push(completed);
            build.end_time = Some(end);
            build.build_status = Some(status);
            build.build_complete = true;
        });
    }
}
