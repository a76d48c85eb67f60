//! Test/DeviceFarm: an app is tested on devices. Source: CodePipeline user guide, 'AWS Device Farm test action reference';
//! Device Farm API, `CreateUpload`, `ScheduleRun`, `GetRun`.
//!
//! `ScheduleRun` takes no token. A run has the attempt's id as its name, by which it is looked for when a worker was lost.
//! Files are uploaded anew then: an upload without a run does nothing.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_devicefarm::Client;
use aws_sdk_devicefarm::error::BuildError;
use aws_sdk_devicefarm::operation::create_upload::CreateUploadError;
use aws_sdk_devicefarm::operation::get_run::GetRunError;
use aws_sdk_devicefarm::operation::get_upload::GetUploadError;
use aws_sdk_devicefarm::operation::list_runs::ListRunsError;
use aws_sdk_devicefarm::operation::schedule_run::ScheduleRunError;
use aws_sdk_devicefarm::types::{
    BillingMethod, Counters, CustomerArtifactPaths, ExecutionConfiguration, ExecutionResult, ExecutionStatus, Location,
    Radios, Run, ScheduleRunConfiguration, ScheduleRunTest, TestType, Upload, UploadStatus, UploadType,
};
use driver::Outcome;
use engine::{External, Progress, Success};
use serde::Deserialize;

use crate::artifact_files::file;
use crate::configuration::{missing, read, title};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::artifacts::READ_INPUTS;
use crate::permission::{Permission, Permissions};
use crate::presigned;
use crate::provider::{Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id};

/// Device Farm is nowhere else. Source: AWS General Reference, 'AWS Device Farm endpoints and quotas'.
const REGION: &str = "us-west-2";
/// Longest file that Device Farm takes. Source: Device Farm developer guide, 'Limits'.
const LONGEST_FILE: u64 = 4 << 30;
/// How often an upload is looked at, and how often at most: Device Farm takes some minutes at most to check one.
const LOOK: Duration = Duration::from_secs(2);
const LOOKS: usize = 180;
/// Longest name of an upload. Source: Device Farm API, `CreateUpload`.
const LONGEST_NAME: usize = 256;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo::of(
        &[Implements::aws("Test", "DeviceFarm")],
        PERMISSIONS,
        Documentation {
            file: file!(),
            ends: "by poll",
            tried: Tried::OverTheWire,
            differs: "A run is called after the attempt, by which it is found again. The app of AppType `Web` is not \
                      uploaded: the test names its address.",
        },
    ),
    provider: &DeviceFarm,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[Permission::new(
        &[
            "devicefarm:CreateUpload",
            "devicefarm:GetRun",
            "devicefarm:GetUpload",
            "devicefarm:ListRuns",
            "devicefarm:ScheduleRun",
        ],
        |scope| {
            let project = scope.value_or_any("ProjectId");
            let own = [format!("project:{project}"), format!("run:{project}/*"), format!("upload:{project}/*")];
            let own = own.map(|resource| scope.arn("devicefarm", &resource));
            own.into_iter().chain(scope.value("DevicePoolArn")).collect()
        },
    )],
    READ_INPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    app_type: AppType,
    project_id: &'a str,
    app: &'a str,
    device_pool_arn: &'a str,
    test_type: &'a str,
    test: Option<&'a str>,
    test_spec: Option<&'a str>,
    fuzz_event_count: Option<u32>,
    fuzz_event_throttle: Option<u32>,
    fuzz_randomizer_seed: Option<u32>,
    record_app_performance_data: Option<bool>,
    record_video: Option<bool>,
    radio_bluetooth_enabled: Option<bool>,
    radio_wifi_enabled: Option<bool>,
    radio_nfc_enabled: Option<bool>,
    radio_gps_enabled: Option<bool>,
    custom_host_machine_artifacts: Option<&'a str>,
    custom_device_artifacts: Option<&'a str>,
    #[serde(default)]
    unmetered_devices_only: bool,
    job_timeout_minutes: Option<u32>,
    latitude: Option<&'a str>,
    longitude: Option<&'a str>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
enum AppType {
    #[serde(rename = "iOS")]
    Ios,
    Android,
    Web,
}

/// A test that Device Farm has itself.
const BUILT_IN: &str = "BUILTIN_FUZZ";

struct DeviceFarm;

#[async_trait]
impl Provider for DeviceFarm {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let action = Action::new(context).await?;
        if context.task.reclaimed
            && let Some(run) = action.run_of_attempt().await?
        {
            return action.outcome(&run);
        }
        let run = action.schedule().await?;
        action.outcome(&run)
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let action = Action::new(context).await?;
        let found = match &context.task.external {
            Some(External { id, .. }) => Some(action.run(id).await?),
            None => action.run_of_attempt().await?,
        };
        let run = found.ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, format!("The project {} has no run of this action", action.project))
        })?;
        action.outcome(&run)
    }
}

struct Action<'a> {
    context: ActionContext<'a>,
    configuration: Configuration<'a>,
    client: Client,
    /// The ARN of the project that `ProjectId` names, in the role's account.
    project: String,
}

impl<'a> Action<'a> {
    async fn new(context: ActionContext<'a>) -> Result<Self, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        if task.region != REGION {
            return Err(ProviderError::configuration(format!(
                "{} is in region {}, and Device Farm is in {REGION} alone: the action needs that as its region",
                title(task),
                task.region
            )));
        }
        // A project belongs to the account of the role that may use it.
        let role = task.action_role.as_ref().unwrap_or(&task.pipeline_role);
        let account = role.split(':').nth(4).unwrap_or_default();
        let project = format!("arn:aws:devicefarm:{REGION}:{account}:project:{}", configuration.project_id);
        let client = Client::new(context.session().await?.config());
        Ok(Self { context, configuration, client, project })
    }

    fn described(&self) -> String {
        format!("the project {}", self.project)
    }

    /// The run that an earlier worker, which was lost, scheduled for this attempt.
    async fn run_of_attempt(&self) -> Result<Option<Run>, ProviderError> {
        let mut pages = self.client.list_runs().arn(&self.project).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| ProviderError::aws("ListRuns", self.described(), &error))?;
            if let Some(run) = page.runs.into_iter().flatten().find(|run| run.name() == Some(self.context.token)) {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    async fn run(&self, arn: &str) -> Result<Run, ProviderError> {
        let found = self.client.get_run().arn(arn).send().await;
        let found = found.map_err(|error| ProviderError::aws("GetRun", arn, &error))?;
        found.run.ok_or_else(|| ProviderError::failed(JOB_FAILED, format!("GetRun: Device Farm does not show {arn}")))
    }

    async fn schedule(&self) -> Result<Run, ProviderError> {
        let it = &self.configuration;
        let test = self.test()?;
        let settings = self.settings()?;
        let execution = ExecutionConfiguration::builder()
            .set_job_timeout_minutes(it.job_timeout_minutes.map(whole))
            .set_video_capture(it.record_video)
            .build();
        let app = match it.app_type {
            AppType::Ios => Some(self.upload("App", it.app, UploadType::IosApp).await?),
            AppType::Android => Some(self.upload("App", it.app, UploadType::AndroidApp).await?),
            AppType::Web => None,
        };
        let kind = |suffix: &str| UploadType::from(format!("{}_{suffix}", it.test_type).as_str());
        let mut test = test;
        if let Some(path) = it.test {
            test = test.test_package_arn(self.upload("Test", path, kind("TEST_PACKAGE")).await?);
        }
        if let Some(path) = it.test_spec {
            test = test.test_spec_arn(self.upload("TestSpec", path, kind("TEST_SPEC")).await?);
        }
        let schedule = self.client.schedule_run().project_arn(&self.project).name(self.context.token);
        let scheduled = schedule
            .set_app_arn(app)
            .device_pool_arn(it.device_pool_arn)
            .test(test.build().map_err(incomplete)?)
            .configuration(settings)
            .execution_configuration(execution)
            .send()
            .await
            .map_err(|error| ProviderError::aws("ScheduleRun", self.described(), &error))?;
        scheduled.run.ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, "ScheduleRun: Device Farm does not say which run it scheduled")
        })
    }

    /// The test without its files.
    fn test(&self) -> Result<aws_sdk_devicefarm::types::builders::ScheduleRunTestBuilder, ProviderError> {
        let it = &self.configuration;
        let builds = it.test_type != BUILT_IN;
        if builds && it.test.is_none() {
            return Err(ProviderError::configuration(format!(
                "{}, as its TestType is {}",
                missing(self.context.task, "Test"),
                it.test_type
            )));
        }
        let mut test = ScheduleRunTest::builder().r#type(TestType::from(it.test_type));
        let fuzz = [
            ("event_count", it.fuzz_event_count, 1..=10_000, "FuzzEventCount"),
            ("throttle", it.fuzz_event_throttle, 0..=1_000, "FuzzEventThrottle"),
            ("seed", it.fuzz_randomizer_seed, 0..=u32::MAX, "FuzzRandomizerSeed"),
        ];
        for (name, value, range, key) in fuzz {
            let Some(value) = value else { continue };
            if !range.contains(&value) {
                let (least, most) = range.into_inner();
                return Err(ProviderError::configuration(format!(
                    "{key} is \"{value}\": it must be from {least} to {most}"
                )));
            }
            test = test.parameters(name, value.to_string());
        }
        if let Some(record) = it.record_app_performance_data {
            test = test.parameters("app_performance_monitoring", record.to_string());
        }
        Ok(test)
    }

    fn settings(&self) -> Result<ScheduleRunConfiguration, ProviderError> {
        let it = &self.configuration;
        let degrees = |key: &str, value: &str, most: f64| {
            let parsed = value.trim().parse::<f64>().ok().filter(|degrees| degrees.abs() <= most);
            parsed.ok_or_else(|| {
                ProviderError::configuration(format!("{key} is {value:?}: it must be degrees from -{most} to {most}"))
            })
        };
        let location = match (it.latitude, it.longitude) {
            (Some(latitude), Some(longitude)) => Some(
                Location::builder()
                    .latitude(degrees("Latitude", latitude, 90.0)?)
                    .longitude(degrees("Longitude", longitude, 180.0)?)
                    .build()
                    .map_err(incomplete)?,
            ),
            (None, None) => None,
            (Some(_), None) => return Err(ProviderError::configuration(missing(self.context.task, "Longitude"))),
            (None, Some(_)) => return Err(ProviderError::configuration(missing(self.context.task, "Latitude"))),
        };
        let radios = Radios::builder()
            .set_bluetooth(it.radio_bluetooth_enabled)
            .set_wifi(it.radio_wifi_enabled)
            .set_nfc(it.radio_nfc_enabled)
            .set_gps(it.radio_gps_enabled)
            .build();
        let mut paths = CustomerArtifactPaths::builder();
        if let Some(path) = it.custom_host_machine_artifacts {
            paths = paths.device_host_paths(path);
        }
        if let Some(path) = it.custom_device_artifacts {
            paths = if it.app_type == AppType::Ios { paths.ios_paths(path) } else { paths.android_paths(path) };
        }
        let billing = if it.unmetered_devices_only { BillingMethod::Unmetered } else { BillingMethod::Metered };
        Ok(ScheduleRunConfiguration::builder()
            .set_location(location)
            .radios(radios)
            .customer_artifact_paths(paths.build())
            .billing_method(billing)
            .build())
    }

    /// Hands a file of the input artifact over. The ARN of the upload, once Device Farm has checked it.
    async fn upload(&self, key: &str, path: &str, kind: UploadType) -> Result<String, ProviderError> {
        let task = self.context.task;
        let input = task
            .inputs
            .first()
            .ok_or_else(|| ProviderError::configuration(format!("{} needs one input artifact", title(task))))?;
        // Device Farm tells files apart by their endings.
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(ProviderError::configuration(format!(
                "{key} is {path:?}: it must name a file, with at most {LONGEST_NAME} bytes"
            )));
        }
        let file = file(self.context, input, path, LONGEST_FILE).await?;
        let create = self.client.create_upload().project_arn(&self.project).name(name).r#type(kind);
        let created = create.send().await;
        let created = created.map_err(|error| ProviderError::aws("CreateUpload", self.described(), &error))?;
        let (arn, url) = created.upload.and_then(|upload| upload.arn.zip(upload.url)).ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, format!("CreateUpload: Device Farm does not say where to put {path}"))
        })?;
        presigned::put(self.context.clients.web(), &url, &file.content, path).await?;
        self.until_checked(key, path, &arn).await?;
        Ok(arn)
    }

    async fn until_checked(&self, key: &str, path: &str, arn: &str) -> Result<(), ProviderError> {
        for _ in 0..LOOKS {
            let found = self.client.get_upload().arn(arn).send().await;
            let found = found.map_err(|error| ProviderError::aws("GetUpload", arn, &error))?;
            match found.upload.as_ref().and_then(Upload::status) {
                Some(UploadStatus::Succeeded) => return Ok(()),
                Some(UploadStatus::Failed) => {
                    let upload = found.upload.as_ref();
                    // What is wrong with the file in detail is in the metadata, for some types.
                    let said = upload.and_then(Upload::message).or(upload.and_then(Upload::metadata));
                    return Err(ProviderError::failed(
                        JOB_FAILED,
                        format!("Device Farm does not take {path} ({key}): {}", said.unwrap_or("it gives no reason")),
                    ));
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
        Err(ProviderError::Retryable(format!("Device Farm has not checked {path} ({key}) yet")))
    }

    fn report(&self, run: &Run) -> Progress {
        let external = run.arn().map(|arn| {
            let id = arn.rsplit('/').next().unwrap_or(arn);
            let url = console::device_farm_run(REGION, self.configuration.project_id, id);
            External { id: arn.to_owned(), url: Some(url) }
        });
        let percent = match (run.completed_jobs, run.total_jobs) {
            (Some(done), Some(all)) if all > 0 => u8::try_from(done.clamp(0, all) * 100 / all).ok(),
            _ => None,
        };
        let status = run.status().map_or("-", ExecutionStatus::as_str);
        let summary = run.counters().map_or_else(|| status.to_owned(), |it| format!("{status}: {}", counted(it)));
        Progress { external, summary: Some(summary), percent }
    }

    fn outcome(&self, run: &Run) -> Result<Outcome, ProviderError> {
        let report = self.report(run);
        if run.status() != Some(&ExecutionStatus::Completed) {
            return Ok(Outcome::Running { report, poll: true, event_source: None });
        }
        match run.result() {
            Some(ExecutionResult::Passed | ExecutionResult::Warned) => {
                Ok(Outcome::Succeeded(Success { report, ..Success::default() }))
            }
            result => {
                let result = result.map_or("-", ExecutionResult::as_str);
                let mut message = format!("The run {} ended as {result}", run.arn().unwrap_or(self.context.token));
                if let Some(counters) = run.counters() {
                    message = format!("{message}: {}", counted(counters));
                }
                if let Some(said) = run.message().filter(|said| !said.is_empty()) {
                    message = format!("{message}: {said}");
                }
                Err(ProviderError::Failed { code: JOB_FAILED, message, report })
            }
        }
    }
}

fn incomplete(error: BuildError) -> ProviderError {
    ProviderError::configuration(error.to_string())
}

/// How many tests ended how.
fn counted(counters: &Counters) -> String {
    let parts = [
        (counters.passed, "passed"),
        (counters.warned, "warned"),
        (counters.failed, "failed"),
        (counters.errored, "errored"),
        (counters.stopped, "stopped"),
        (counters.skipped, "skipped"),
    ];
    let parts =
        parts.iter().filter_map(|(count, how)| count.filter(|count| *count > 0).map(|it| format!("{it} {how}")));
    let parts: Vec<_> = parts.collect();
    let total = counters.total.unwrap_or_default();
    match parts.as_slice() {
        [] => format!("{total} tests"),
        parts => format!("{total} tests, {}", parts.join(", ")),
    }
}

fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl ClassifyError for CreateUploadError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::ArgumentException(_) | Self::NotFoundException(_) | Self::LimitExceededException(_) => {
                Some(ErrorClass::Configuration)
            }
            _ => None,
        }
    }
}

impl ClassifyError for ScheduleRunError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::ArgumentException(_) | Self::NotFoundException(_) | Self::LimitExceededException(_) => {
                Some(ErrorClass::Configuration)
            }
            _ => None,
        }
    }
}

impl ClassifyError for ListRunsError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::ArgumentException(_) | Self::NotFoundException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for GetUploadError {
    fn class(&self) -> Option<ErrorClass> {
        matches!(self, Self::NotFoundException(_)).then_some(ErrorClass::Failed)
    }
}

impl ClassifyError for GetRunError {
    fn class(&self) -> Option<ErrorClass> {
        matches!(self, Self::NotFoundException(_)).then_some(ErrorClass::Failed)
    }
}
