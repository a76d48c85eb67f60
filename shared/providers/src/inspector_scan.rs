//! Invoke/InspectorScan: Amazon Inspector looks for vulnerabilities in source code or in an image. Source: CodePipeline user
//! guide, 'Amazon Inspector InspectorScan invoke action reference'; Amazon Inspector user guide, 'Creating a custom CI/CD
//! pipeline integration with Amazon Inspector Scan'.
//!
//! The commands run in a build of [`crate::managed_compute`] and are generated: every value is one word of the shell.

use async_trait::async_trait;
use driver::{Outcome, Task};
use serde::Deserialize;

use crate::builds::{EVENTS, Machine};
use crate::configuration::{missing, read, shown, title};
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::image_registry::{is_tag, registry, sign_in};
use crate::managed_compute::{self, BUILD, LONGEST_MINUTES, Work, variable, word};
use crate::permission::artifacts::{PIN_OUTPUTS, READ_INPUTS, WRITE_OUTPUTS};
use crate::permission::{Permission, Permissions, Scope, Trust, everything};
use crate::provider::{ActionLog, Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id};

/// The output variable: `critical`, `high`, `medium`, `low`, or `none` where nothing was found.
const HIGHEST: &str = "HighestScannedSeverity";
/// The file of the output artifact.
const REPORT: &str = "sbom.json";
/// Source: Amazon Inspector user guide, 'Amazon Inspector SBOM Generator'.
const GENERATOR: &str = "https://amazon-inspector-sbomgen.s3.amazonaws.com/latest/linux/amd64/inspector-sbomgen.zip";

/// Leaves the report in the output artifact's file, and prints how many vulnerabilities of each severity it has, as
/// variables of a shell.
const COUNT: &str = concat!(
    "import json, sys; report = json.load(sys.stdin)['sbom']; json.dump(report, open('sbom.json', 'w')); ",
    "found = {it['name']: it['value'] for it in report.get('metadata', {}).get('properties', [])}; ",
    "count = lambda severity: int(found.get('amazon:inspector:sbom_scanner:' + severity + '_vulnerabilities', 0)); ",
    "[print(severity + '=' + str(count(severity))) for severity in ('critical', 'high', 'medium', 'low')]"
);

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(EVENTS),
        log: ActionLog::of_build,
        ..ProviderInfo::of(
            &[Implements::aws("Invoke", "InspectorScan")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::OverTheWire,
                differs: "As for Commands actions. The output artifact has one file, sbom.json, in CycloneDX's format. HighestScannedSeverity can also be low or none.",
            },
        )
    },
    provider: &InspectorScan,
    token: attempt_id,
};

fn scans_image(scope: &Scope<'_>) -> bool {
    scope.value("InspectorRunMode").is_none_or(|mode| mode != "SourceCodeScan")
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(&["inspector-scan:ScanSbom"], everything),
        Permission::new(&["ecr:GetAuthorizationToken"], |scope| {
            if scans_image(scope) { everything(scope) } else { Vec::new() }
        }),
        Permission::new(
            &["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            |scope| {
                let repository = format!("repository/{}", scope.value_or_any("ECRRepositoryName"));
                if scans_image(scope) { vec![scope.arn("ecr", &repository)] } else { Vec::new() }
            },
        ),
    ],
    BUILD,
    READ_INPUTS,
    WRITE_OUTPUTS,
    PIN_OUTPUTS,
])
.trusting(Trust::Build);

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(rename = "InspectorRunMode")]
    run_mode: RunMode,
    #[serde(rename = "ECRRepositoryName")]
    repository_name: Option<&'a str>,
    #[serde(rename = "ImageTag")]
    image_tag: Option<&'a str>,
    #[serde(rename = "CriticalThreshold")]
    critical: Option<u32>,
    #[serde(rename = "HighThreshold")]
    high: Option<u32>,
    #[serde(rename = "MediumThreshold")]
    medium: Option<u32>,
    #[serde(rename = "LowThreshold")]
    low: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
enum RunMode {
    SourceCodeScan,
    #[serde(rename = "ECRImageScan")]
    EcrImageScan,
}

impl Configuration<'_> {
    /// Lists what the source or the image is made of, in `$WORK/sbom.json`.
    fn list(&self, task: &Task) -> Result<Vec<String>, ProviderError> {
        match self.run_mode {
            RunMode::SourceCodeScan if task.inputs.is_empty() => Err(ProviderError::configuration(format!(
                "{} has no input artifact, which the value SourceCodeScan of InspectorRunMode needs",
                title(task)
            ))),
            RunMode::SourceCodeScan => {
                Ok(vec!["inspector-sbomgen directory --path=. --outfile=\"$WORK/sbom.json\"".to_owned()])
            }
            RunMode::EcrImageScan => {
                let why = || missing(task, "ECRRepositoryName");
                let repository = self.repository_name.ok_or_else(|| ProviderError::configuration(why()))?;
                let tag = self.image_tag.unwrap_or("latest");
                if !is_tag(tag) {
                    return Err(ProviderError::configuration(format!(
                        "ImageTag is {:?}: it must be 1 to 128 letters, digits, _, . and -, the first neither . nor -",
                        shown(tag)
                    )));
                }
                let registry = registry(task);
                let image = word(&format!("--image={registry}/{repository}:{tag}"))?;
                let list = format!("inspector-sbomgen container {image} --outfile=\"$WORK/sbom.json\"");
                Ok(vec![sign_in(&registry)?, list])
            }
        }
    }

    /// Each severity with the most vulnerabilities that may have it, the highest first.
    fn thresholds(&self) -> [(&'static str, Option<u32>); 4] {
        [("critical", self.critical), ("high", self.high), ("medium", self.medium), ("low", self.low)]
    }

    fn commands(&self, task: &Task) -> Result<Vec<String>, ProviderError> {
        let mut commands = vec![
            "WORK=$(mktemp -d)".to_owned(),
            format!("curl --fail --silent --show-error --location --output \"$WORK/sbomgen.zip\" {GENERATOR}"),
            "unzip -q -o -j \"$WORK/sbomgen.zip\" '*/inspector-sbomgen' -d /usr/local/bin".to_owned(),
            "chmod +x /usr/local/bin/inspector-sbomgen".to_owned(),
        ];
        commands.extend(self.list(task)?);
        commands.push(
            "aws inspector-scan scan-sbom --sbom=\"file://$WORK/sbom.json\" --output-format=CYCLONE_DX_1_5 \
             --output=json > \"$WORK/scan.json\""
                .to_owned(),
        );
        commands.push("python3 -c \"$MILLRACE_REPORT\" < \"$WORK/scan.json\" > \"$WORK/counts\"".to_owned());
        commands.push(". \"$WORK/counts\"".to_owned());
        commands.push("echo \"Vulnerabilities: $critical critical, $high high, $medium medium, $low low\"".to_owned());
        let highest =
            self.thresholds().map(|(severity, _)| format!("if [ \"${severity}\" -gt 0 ]; then {HIGHEST}={severity};"));
        commands.push(format!("{} else {HIGHEST}=none; fi", highest.join(" el")));
        for (severity, most) in self.thresholds() {
            let Some(most) = most else { continue };
            commands.push(format!(
                "if [ \"${severity}\" -gt {most} ]; then echo \"${severity} {severity} vulnerabilities are more than \
                 the threshold, {most}\"; false; fi"
            ));
        }
        Ok(commands)
    }
}

struct InspectorScan;

#[async_trait]
impl Provider for InspectorScan {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let work = Work {
            commands: configuration.commands(task)?,
            environment: vec![variable("MILLRACE_REPORT", COUNT)?],
            exported: vec![HIGHEST.to_owned()],
            files: vec![REPORT.to_owned()],
            // For Docker's daemon, with which it signs in.
            machine: match configuration.run_mode {
                RunMode::SourceCodeScan => Machine::default(),
                RunMode::EcrImageScan => Machine { privileged: Some(true), ..Machine::default() },
            },
        };
        managed_compute::start(context, None, LONGEST_MINUTES, work).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        managed_compute::poll(context, None).await
    }
}
