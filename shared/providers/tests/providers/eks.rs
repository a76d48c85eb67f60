use driver::Task;
use pipeline::Compute;
use pipeline::declaration::EnvironmentVariable;
use serde_json::{Value, json};

use crate::build_shell::{commands, run};
use crate::managed::{aws, started};
use crate::{failed, input, registry, task};

fn deploy(configuration: &[(&str, &str)], environment: &[(&str, &str)]) -> Task {
    let mut all = vec![("ClusterName", "shop")];
    all.extend(configuration);
    let variable =
        |(name, value): &(&str, &str)| EnvironmentVariable { name: (*name).into(), value: (*value).into(), kind: None };
    let environment = environment.iter().map(variable).collect();
    let compute = Compute { environment, ..Compute::default() };
    Task { inputs: vec![input("App")], compute, ..task("Deploy", "EKS", &all) }
}

async fn sent(task: &Task) -> Value {
    started(&aws(&["App"]), task).await
}

const PROGRAMS: &[(&str, &str)] = &[("aws", ""), ("kubectl", ""), ("helm", "")];
const HELM: &[(&str, &str)] = &[("HelmReleaseName", "web"), ("HelmChartLocation", "charts/web/")];

#[tokio::test]
async fn manifests_are_applied_with_the_values_of_the_environment() {
    let files =
        [("k8s/app.yaml", "image: $IMAGE:${TAG}, $TAGS $HOME ${IMAGE_PULL}\n"), ("svc.yaml", "no: variables\n")];
    let configuration = [("ManifestFiles", "k8s/app.yaml, svc.yaml"), ("Namespace", "prod")];
    let environment = [("IMAGE", "shop/web"), ("TAG", "1&2\\1"), ("IMAGE_PULL", "Always")];
    let ran = run(&sent(&deploy(&configuration, &environment)).await, &files, PROGRAMS);
    assert_eq!(ran.failed, None, "{}", ran.printed);
    assert_eq!(
        ran.calls,
        [
            "aws [eks] [update-kubeconfig] [--name=shop]",
            "kubectl [apply] [--namespace=prod] [--filename=k8s/app.yaml] [--filename=svc.yaml]",
        ]
    );
    let made = std::fs::read_to_string(ran.source.path().join("k8s/app.yaml")).unwrap();
    assert_eq!(made, "image: shop/web:1&2\\1, $TAGS $HOME Always\n", "only what the action declares");
    assert_eq!(ran.exported, [("EKSClusterName".to_owned(), "shop".to_owned())].into());
}

#[tokio::test]
async fn a_chart_is_installed_or_upgraded() {
    let configuration = [HELM, &[("HelmValuesFiles", "values.yaml,prod.yaml")]].concat();
    let files = [("charts/web/values.yaml", "tag: $TAG"), ("charts/web/prod.yaml", "x: 1")];
    let ran = run(&sent(&deploy(&configuration, &[("TAG", "7")])).await, &files, PROGRAMS);
    assert_eq!(ran.failed, None, "{}", ran.printed);
    let upgrade = "helm [upgrade] [--install] [--values=charts/web/values.yaml] [--values=charts/web/prod.yaml] [--] [web] \
                   [charts/web/]";
    assert_eq!(ran.calls.last().unwrap(), upgrade);
    assert_eq!(std::fs::read_to_string(ran.source.path().join("charts/web/values.yaml")).unwrap(), "tag: 7");
}

#[tokio::test]
async fn what_the_cluster_refuses_fails_the_action() {
    let sent = sent(&deploy(&[("ManifestFiles", "a.yaml")], &[])).await;
    let ran = run(&sent, &[], &[("aws", ""), ("kubectl", "echo forbidden >&2; exit 1")]);
    assert_eq!(ran.failed.as_deref(), Some("kubectl apply '--filename=a.yaml'"));
    assert_eq!(commands(&sent).len(), 2, "without variables nothing is put into files");
}

#[tokio::test]
async fn no_value_can_be_a_command_or_an_option() {
    let evil = "x'; touch hacked; echo '$(touch hacked)`touch hacked`";
    for configuration in [
        &[("ClusterName", evil), ("ManifestFiles", "a")][..],
        &[("ManifestFiles", evil), ("Namespace", evil)],
        &[("HelmReleaseName", evil), ("HelmChartLocation", evil), ("HelmValuesFiles", evil)],
        &[("HelmReleaseName", "--post-renderer=evil"), ("HelmChartLocation", "--debug")],
    ] {
        let ran = run(&sent(&deploy(configuration, &[])).await, &[], PROGRAMS);
        assert_eq!(ran.failed, None, "{}", ran.printed);
        assert!(!ran.source.path().join("hacked").exists(), "{:?}", ran.calls);
        let helm = ran.calls.iter().find(|it| it.contains("post-renderer"));
        assert!(helm.is_none_or(|it| it.ends_with("[--] [--post-renderer=evil] [--debug]")), "{:?}", ran.calls);
    }
}

#[tokio::test]
async fn a_private_cluster_has_a_project_of_its_own() {
    let aws = aws(&["App"]);
    let network = [("ManifestFiles", "a"), ("Subnets", "subnet-a"), ("SecurityGroupIds", "sg-1")];
    let other = json!({"vpcId": "vpc-1", "subnets": ["subnet-b"], "securityGroupIds": ["sg-1"]});
    for (projects, part) in [
        (json!([]), "no project millrace-compute-shop: deploy"),
        (json!([{"vpcConfig": other}]), "run in VpcId vpc-1, Subnets subnet-b, SecurityGroupIds sg-1"),
    ] {
        aws.on("BatchGetProjects", 200, json!({"projects": projects}).to_string());
        let message = failed(&registry(&aws), &deploy(&network, &[])).await.message;
        assert!(message.contains(part), "{message}");
    }
    let vpc = json!({"vpcId": "vpc-1", "subnets": ["subnet-a"], "securityGroupIds": ["sg-1"]});
    let answer = json!({"projects": [{"name": "millrace-compute-shop", "vpcConfig": vpc}]});
    aws.on("BatchGetProjects", 200, answer.to_string());
    assert_eq!(started(&aws, &deploy(&network, &[])).await["projectName"], "millrace-compute-shop");
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_names_the_key() {
    let aws = aws(&["App"]);
    for (configuration, part) in [
        (&[("ClusterName", ""), ("ManifestFiles", "a")][..], "needs a value for ClusterName"),
        (&[], "must have either ManifestFiles, or HelmReleaseName and HelmChartLocation, and has neither"),
        (&[("ManifestFiles", "a"), ("HelmReleaseName", "web")], "and has both"),
        (&[("HelmReleaseName", "web")], "needs a value for HelmChartLocation"),
        (&[("HelmValuesFiles", "v.yaml")], "needs a value for HelmReleaseName"),
        (&[("ManifestFiles", "a"), ("Subnets", "s")], "SecurityGroupIds: Subnets, SecurityGroupIds go together"),
    ] {
        let error = failed(&registry(&aws), &deploy(configuration, &[])).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert!(aws.calls("StartBuild").is_empty());
}
