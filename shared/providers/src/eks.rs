//! Deploy/EKS: a Helm chart or manifests in a Kubernetes cluster. Source: CodePipeline user guide, 'Amazon Elastic Kubernetes
//! Service EKS deploy action reference'.
//!
//! The commands run in a build of [`crate::managed_compute`] and are generated: every value is one word of the shell, and none
//! can become an option.

use async_trait::async_trait;
use driver::{Outcome, Task};
use serde::Deserialize;

use crate::builds::EVENTS;
use crate::commands::environment;
use crate::compute_network::Network;
use crate::configuration::{items, missing, read, title};
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::managed_compute::{self, BUILD, IN_NETWORK, LONGEST_MINUTES, SECRETS, Work, variable, word};
use crate::permission::artifacts::READ_INPUTS;
use crate::permission::{Permission, Permissions, Trust};
use crate::provider::{
    ActionLog, Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Tried, attempt_id,
};

/// The output variable, whose value is `ClusterName`.
const CLUSTER: &str = "EKSClusterName";
/// CodeBuild's images have `kubectl`, and no `helm`.
const GET_HELM: &str = "command -v helm || curl --fail --silent --show-error --location \
    https://get.helm.sh/helm-v3.17.3-linux-amd64.tar.gz | \
    tar --extract --gzip --directory=/usr/local/bin --strip-components=1 linux-amd64/helm";
/// Puts the values of environment variables into files, in place of `$NAME` and `${NAME}`. A name that the action does not
/// declare stays as it is, since manifests and charts have a use for `$` themselves.
const SUBSTITUTE: &str = concat!(
    "import os, pathlib, re, sys; ",
    "names = os.environ['MILLRACE_NAMES'].replace(' ', '|'); ",
    r"pattern = re.compile(r'\$(?:\{(' + names + r')\}|(' + names + r')(?![A-Za-z0-9_]))'); ",
    "value = lambda found: os.environ[found[1] or found[2]]; ",
    "[path.write_text(pattern.sub(value, path.read_text())) for path in map(pathlib.Path, sys.argv[1:])]"
);

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(EVENTS),
        log: ActionLog::of_build,
        entity: Some(EntityPage { key: "ClusterName", path: "eks/clusters/{}?region={region}" }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "EKS")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::OverTheWire,
                differs: "As for Commands actions. Runs helm upgrade --install, or kubectl apply, and does not wait for what the cluster does with it. An action with Subnets needs a project named after its cluster (infra/compute-vpc.yaml); without, the build reaches public endpoints only. A chart must be in the artifact's zip.",
            },
        )
    },
    provider: &Eks,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[Permission::new(&["eks:DescribeCluster"], |scope| vec![scope.named("ClusterName", "eks", "cluster/")])],
    BUILD,
    IN_NETWORK,
    SECRETS,
    READ_INPUTS,
])
.trusting(Trust::Build)
.beside(|_| Some("the cluster needs an access entry for the role"));

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    cluster_name: &'a str,
    helm_release_name: Option<&'a str>,
    helm_chart_location: Option<&'a str>,
    helm_values_files: Option<&'a str>,
    manifest_files: Option<&'a str>,
    namespace: Option<&'a str>,
    subnets: Option<&'a str>,
    security_group_ids: Option<&'a str>,
}

impl<'a> Configuration<'a> {
    fn network(&self, task: &Task) -> Result<Option<Network>, ProviderError> {
        Network::of_cluster(task, self.cluster_name, [self.subnets, self.security_group_ids])
    }

    fn tool(&self, task: &Task) -> Result<Tool<'a>, ProviderError> {
        let need = |key, value: Option<&'a str>| value.ok_or_else(|| ProviderError::configuration(missing(task, key)));
        let helm = [self.helm_release_name, self.helm_chart_location, self.helm_values_files];
        match (self.manifest_files, helm.iter().any(Option::is_some)) {
            (Some(files), false) => Ok(Tool::Kubectl { manifests: items(files).collect() }),
            (None, true) => Ok(Tool::Helm {
                release: need("HelmReleaseName", self.helm_release_name)?,
                chart: need("HelmChartLocation", self.helm_chart_location)?,
                values: self.helm_values_files.into_iter().flat_map(items).collect(),
            }),
            (manifests, _) => Err(ProviderError::configuration(format!(
                "{} must have either ManifestFiles, or HelmReleaseName and HelmChartLocation, and has {}",
                title(task),
                if manifests.is_some() { "both" } else { "neither" }
            ))),
        }
    }
}

enum Tool<'a> {
    Kubectl { manifests: Vec<&'a str> },
    Helm { release: &'a str, chart: &'a str, values: Vec<&'a str> },
}

impl Tool<'_> {
    /// The files in which environment variables have their values put.
    fn files(&self) -> Vec<String> {
        match self {
            Self::Kubectl { manifests } => manifests.iter().map(|file| (*file).to_owned()).collect(),
            // The user guide has them in the chart's location.
            Self::Helm { chart, values, .. } => {
                values.iter().map(|file| format!("{}/{file}", chart.trim_end_matches('/'))).collect()
            }
        }
    }

    fn commands(&self, namespace: Option<&str>) -> Result<Vec<String>, ProviderError> {
        let namespace = namespace.map(|it| word(&format!("--namespace={it}"))).transpose()?;
        let option = |name: &'static str| move |file: &String| word(&format!("--{name}={file}"));
        let files = self.files();
        match self {
            Self::Kubectl { .. } => {
                let files = files.iter().map(option("filename")).collect::<Result<Vec<_>, _>>()?;
                Ok(vec![line(["kubectl", "apply"], namespace.into_iter().chain(files))])
            }
            Self::Helm { release, chart, .. } => {
                let values = files.iter().map(option("values")).collect::<Result<Vec<_>, _>>()?;
                let names = ["--".to_owned(), word(release)?, word(chart)?];
                let upgrade = line(["helm", "upgrade", "--install"], namespace.into_iter().chain(values).chain(names));
                Ok(vec![GET_HELM.to_owned(), upgrade])
            }
        }
    }
}

fn line<const N: usize>(program: [&str; N], rest: impl Iterator<Item = String>) -> String {
    program.into_iter().map(str::to_owned).chain(rest).collect::<Vec<_>>().join(" ")
}

struct Eks;

#[async_trait]
impl Provider for Eks {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let network = configuration.network(task)?;
        managed_compute::start(context, network.as_ref(), LONGEST_MINUTES, work(task, &configuration)?).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        managed_compute::poll(context, configuration.network(context.task)?.as_ref()).await
    }
}

fn work(task: &Task, configuration: &Configuration<'_>) -> Result<Work, ProviderError> {
    let tool = configuration.tool(task)?;
    let mut environment = environment(&task.compute.environment)?;
    let cluster = word(&format!("--name={}", configuration.cluster_name))?;
    let mut commands = vec![format!("aws eks update-kubeconfig {cluster}")];
    let files = tool.files();
    if !environment.is_empty() && !files.is_empty() {
        let names: Vec<_> = environment.iter().map(|variable| variable.name.as_str()).collect();
        let names = names.join(" ");
        environment.push(variable("MILLRACE_NAMES", names)?);
        environment.push(variable("MILLRACE_SUBSTITUTE", SUBSTITUTE)?);
        let files = files.iter().map(|file| word(file)).collect::<Result<Vec<_>, _>>()?;
        commands.push(line(["python3", "-c", "\"$MILLRACE_SUBSTITUTE\""], files.into_iter()));
    }
    commands.extend(tool.commands(configuration.namespace)?);
    environment.push(variable(CLUSTER, configuration.cluster_name)?);
    Ok(Work { commands, environment, exported: vec![CLUSTER.to_owned()], ..Work::default() })
}
