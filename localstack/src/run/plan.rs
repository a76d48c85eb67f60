//! What will run: the declaration as the local stack takes it, and for each action whether it is real.

use std::collections::{BTreeMap, BTreeSet};

use local::ACCOUNT;
use pipeline::catalogue::rules;
use pipeline::declaration::{ActionDeclaration, Condition, RuleDeclaration};
use pipeline::{Declaration, TypeId};

use super::here::{Found, Here, machine_arn, place, region};
use super::source::Source;
use super::stand_ins::{self, is_built};

/// Most configuration keys of a custom action type. Source: CodePipeline API, `CreateCustomActionType`.
const MOST_KEYS: usize = 10;

/// An action of the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub stage: String,
    pub action: String,
    pub provider: String,
    /// Why a stand-in runs in its place; none: it is real.
    pub why: Option<String>,
}

/// An action that a stand-in answers.
#[derive(Clone, Debug)]
pub(super) struct StandIn {
    /// As the definition has it.
    pub action: ActionDeclaration,
    /// The custom action type whose jobs it answers.
    pub type_id: TypeId,
    /// Whether it deploys the stack of its own pipeline.
    pub changes_pipeline: bool,
}

/// What `local run` creates in place of the definition, and what it tells of each action.
#[derive(Debug)]
pub(super) struct Plan {
    pub declaration: Declaration,
    /// In the order of the definition.
    pub rows: Vec<Row>,
    /// By the names of stage and action.
    pub stand_ins: BTreeMap<(String, String), StandIn>,
    /// The custom action types of the stand-ins, with the keys of their configuration.
    pub types: BTreeMap<TypeId, Vec<String>>,
    /// The artifacts whose content is what it would be on AWS.
    pub true_artifacts: BTreeSet<String>,
    /// What the local stack cannot take at all, in words.
    pub left_out: Vec<String>,
}

impl Plan {
    /// `run`: six characters that no other run's action types have.
    pub(super) fn new(definition: &Declaration, here: &Here, source: &Source, run: &str) -> Self {
        let mut plan = Self {
            declaration: definition.clone(),
            rows: Vec::new(),
            stand_ins: BTreeMap::new(),
            types: BTreeMap::new(),
            true_artifacts: BTreeSet::new(),
            left_out: Vec::new(),
        };
        let mut versions = BTreeMap::new();
        for (s, stage) in definition.stages.iter().enumerate() {
            for (a, action) in stage.actions.iter().enumerate() {
                let why = stand_ins::choose(action, definition, here, source);
                let why = why.or_else(|| stand_ins::follows_stand_in(action, &plan));
                plan.rows.push(Row {
                    stage: stage.name.clone(),
                    action: action.name.clone(),
                    provider: action.action_type_id.provider.clone(),
                    why: why.clone(),
                });
                let is_content = action.action_type_id.category == "Source" && action.action_type_id.provider != "ECR";
                if why.is_none() || is_content {
                    let outputs = action.output_artifacts.iter().flatten();
                    plan.true_artifacts.extend(outputs.map(|artifact| artifact.name.clone()));
                }
                if why.is_none() {
                    let action = &mut plan.declaration.stages[s].actions[a];
                    localize(action, here);
                    plan.left_out.extend(leave_out_network(action));
                    continue;
                }
                let keys = keys(action);
                let next = versions.len();
                let version = versions.entry((action.action_type_id.clone(), keys.clone())).or_insert(next);
                let type_id = TypeId {
                    owner: Some("Custom".to_owned()),
                    version: Some(format!("{run}{version}")),
                    ..action.action_type_id.clone()
                };
                plan.declaration.stages[s].actions[a] = replaced(action, &type_id, &keys);
                plan.types.insert(type_id.clone(), keys);
                let changes_pipeline = stand_ins::changes_pipeline(action, here);
                let stand_in = StandIn { action: action.clone(), type_id, changes_pipeline };
                plan.stand_ins.insert((stage.name.clone(), action.name.clone()), stand_in);
            }
        }
        plan.leave_out_what_is_unknown(here);
        plan.leave_out_rules(here);
        plan.leave_out_triggers();
        plan
    }

    /// A stand-in has no events of a repository.
    fn leave_out_triggers(&mut self) {
        let is_stand_in = |action: &str| self.stand_ins.keys().any(|(_, name)| name == action);
        let triggers = self.declaration.triggers.take().unwrap_or_default();
        let (left_out, kept): (Vec<_>, Vec<_>) =
            triggers.into_iter().partition(|it| is_stand_in(&it.git_configuration.source_action_name));
        self.declaration.triggers = Some(kept).filter(|kept| !kept.is_empty());
        if !left_out.is_empty() {
            self.left_out.push("the triggers: a stand-in has no events of a repository".to_owned());
        }
    }

    /// What of the projects and functions is known only on AWS.
    fn leave_out_what_is_unknown(&mut self, here: &Here) {
        for found in here.projects.values() {
            if let Found::Makable(project) = found {
                self.left_out.extend(project.left_out.iter().cloned());
            }
        }
        for found in here.functions.values() {
            if let Found::Makable(function) = found {
                self.left_out.extend(function.left_out.iter().cloned());
            }
        }
    }

    fn leave_out_rules(&mut self, here: &Here) {
        let left_out = &mut self.left_out;
        for stage in &mut self.declaration.stages {
            let name = stage.name.clone();
            let mut clean = |conditions: &mut Vec<Condition>| {
                for condition in conditions.iter_mut() {
                    condition.rules.iter_mut().for_each(|rules| {
                        rules.retain(|rule| match missing(rule, here) {
                            Some(why) => {
                                left_out.push(format!("the rule {} of stage {name}: {why}", rule.name));
                                false
                            }
                            None => true,
                        });
                    });
                }
                conditions.retain(|condition| condition.rules.as_ref().is_none_or(|rules| !rules.is_empty()));
            };
            for around in [&mut stage.before_entry, &mut stage.on_success] {
                around.iter_mut().for_each(|it| clean(&mut it.conditions));
                around.take_if(|it| it.conditions.is_empty());
            }
            if let Some(failure) = &mut stage.on_failure {
                failure.conditions.iter_mut().for_each(&mut clean);
                failure.conditions.take_if(|conditions| conditions.is_empty());
            }
            stage.on_failure.take_if(|it| it.result.is_none() && it.conditions.is_none());
        }
    }
}

/// Why a rule cannot be checked here, if it cannot.
fn missing(rule: &RuleDeclaration, here: &Here) -> Option<String> {
    let id = rules::find(&rule.rule_type_id).map_or_else(|| rule.rule_type_id.clone(), rules::RuleType::id);
    if !is_built(&id) {
        return Some(format!("{} rules are not built yet", id.provider));
    }
    match id.provider.as_str() {
        "CloudWatchAlarm" => Some("its alarm watches what is on AWS".to_owned()),
        "CodeBuild" => {
            let name = rule.configuration.as_ref().and_then(|it| it.get("ProjectName"))?;
            match here.projects.get(&place(rule.region.as_deref(), name)) {
                Some(Found::Missing(why)) => Some(why.clone()),
                _ => None,
            }
        }
        "LambdaInvoke" => {
            let name = rule.configuration.as_ref().and_then(|it| it.get("FunctionName"))?;
            match here.functions.get(&place(rule.region.as_deref(), name)) {
                Some(Found::Missing(why)) => Some(why.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Puts the stack's account and region into the ARNs that a real action has.
fn localize(action: &mut ActionDeclaration, here: &Here) {
    let region = region(action).to_owned();
    let provider = action.action_type_id.provider.clone();
    for (key, value) in action.configuration.iter_mut().flatten() {
        match (provider.as_str(), key.as_str()) {
            ("StepFunctions", "StateMachineArn") => *value = machine_arn(&place(Some(&region), value)),
            ("Lambda", "FunctionName") => {
                let place = place(Some(&region), value);
                if here.functions.contains_key(&place) {
                    *value = place.1;
                }
            }
            ("CodeStarSourceConnection", "ConnectionArn") => here.connection.iter().for_each(|it| value.clone_from(it)),
            ("Manual", "NotificationArn") => *value = topic_arn(&region, value),
            _ => {}
        }
    }
}

/// Takes the VPC out of an action whose commands run on this machine. Says so.
fn leave_out_network(action: &mut ActionDeclaration) -> Option<String> {
    let configuration = action.configuration.as_mut().filter(|_| action.action_type_id.provider == "Commands")?;
    let had = ["VpcId", "Subnets", "SecurityGroupIds"].map(|key| configuration.remove(key).is_some());
    had.contains(&true).then(|| format!("the VPC of {}: its commands run on this machine", action.name))
}

/// The topic on the local stack that has the name of the author's.
pub(super) fn topic_arn(region: &str, arn: &str) -> String {
    let name = arn.rsplit(':').next().unwrap_or(arn);
    format!("arn:aws:sns:{region}:{ACCOUNT}:{name}")
}

/// The keys that go through CodePipeline: those whose values have variables first, since only CodePipeline resolves them.
fn keys(action: &ActionDeclaration) -> Vec<String> {
    let configuration: Vec<_> = action.configuration.iter().flatten().collect();
    let (variable, fixed): (Vec<_>, Vec<_>) = configuration.into_iter().partition(|(_, value)| value.contains("#{"));
    variable.into_iter().chain(fixed).take(MOST_KEYS).map(|(key, _)| key.clone()).collect()
}

/// The action as one of a custom type, with the same name, artifacts and namespace.
fn replaced(action: &ActionDeclaration, type_id: &TypeId, keys: &[String]) -> ActionDeclaration {
    let configuration = action.configuration.iter().flatten().filter(|(key, _)| keys.contains(key));
    let mut outputs = action.output_artifacts.clone();
    outputs.iter_mut().flatten().for_each(|artifact| artifact.files = None);
    ActionDeclaration {
        name: action.name.clone(),
        action_type_id: type_id.clone(),
        run_order: action.run_order,
        configuration: Some(configuration.map(|(key, value)| (key.clone(), value.clone())).collect()),
        output_artifacts: outputs,
        input_artifacts: action.input_artifacts.clone(),
        namespace: action.namespace.clone(),
        ..ActionDeclaration::default()
    }
}

#[cfg(test)]
mod tests {
    use pipeline::Pipeline;
    use serde_json::{Value, json};

    use super::*;
    use crate::run::here::{NewFunction, NewProject};
    use crate::run::tests::{SAMPLE, sample_source};

    fn sample(change: impl FnOnce(&mut Value)) -> Declaration {
        let mut document: Value = serde_json::from_str(SAMPLE).unwrap();
        let pipeline = &mut document["pipeline"];
        change(pipeline);
        serde_json::from_value(pipeline.clone()).unwrap()
    }

    fn here() -> Here {
        let project = Found::Makable(NewProject::default());
        Here { projects: BTreeMap::from([(place(None, "shop"), project)]), ..Here::default() }
    }

    fn reasons(plan: &Plan) -> Vec<Option<&str>> {
        plan.rows.iter().map(|row| row.why.as_deref()).collect()
    }

    #[test]
    fn what_cannot_run_here_becomes_a_custom_action_with_the_same_names() {
        let definition = sample(|_| {});
        let plan = Plan::new(&definition, &here(), &sample_source(), "abcdef");
        assert_eq!(
            reasons(&plan),
            [
                Some("git is not installed; --source is its content"),
                None,
                Some("no job worker for Jenkins is here"),
                None,
                None,
                Some("there is no CodeDeploy here"),
            ]
        );
        let source = &plan.declaration.stages[0].actions[0];
        assert_eq!(source.action_type_id.owner.as_deref(), Some("Custom"));
        assert_eq!(source.action_type_id.version.as_deref(), Some("abcdef0"));
        assert_eq!(source.output_artifacts, definition.stages[0].actions[0].output_artifacts);
        assert_eq!(source.namespace.as_deref(), Some("Source"));
        assert_eq!(plan.types.len(), 3);
        assert_eq!(
            plan.declaration.stages[1].actions[0], definition.stages[1].actions[0],
            "a real action is unchanged"
        );
        assert!(plan.true_artifacts.contains("Code") && plan.true_artifacts.contains("Pages"));
    }

    #[test]
    fn a_source_at_a_connection_reads_the_code_host_and_is_started_by_its_pushes() {
        let definition = |change: fn(&mut Value)| {
            sample(|pipeline| {
                pipeline["triggers"] = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration":
                    {"sourceActionName": "Repository", "push": [{"branches": {"includes": ["main"]}}]}}]);
                change(&mut pipeline["stages"][0]["actions"][0]);
            })
        };
        let here = || Here { connection: Some("arn:of:ours".to_owned()), ..here() };
        let plan = Plan::new(&definition(|_| {}), &here(), &sample_source(), "abcdef");
        assert_eq!(plan.rows[0].why, None);
        let source = &plan.declaration.stages[0].actions[0];
        assert_eq!(source.configuration.as_ref().unwrap()["ConnectionArn"], "arn:of:ours");
        assert_eq!(plan.declaration.triggers.map(|it| it.len()), Some(1));
        let changes: [fn(&mut Value); 4] = [
            |source| source["configuration"]["OutputArtifactFormat"] = "CODEBUILD_CLONE_REF".into(),
            |source| source["configuration"]["FullRepositoryId"] = "group/below/shop".into(),
            |source| source["configuration"]["BranchName"] = "#{variables.branch}".into(),
            |source| source["region"] = "us-west-2".into(),
        ];
        for change in changes {
            let plan = Plan::new(&definition(change), &here(), &sample_source(), "abcdef");
            assert!(plan.rows[0].why.is_some() && plan.declaration.triggers.is_none(), "{:?}", plan.rows[0]);
        }
    }

    #[test]
    fn commands_run_for_real_without_their_vpc() {
        let definition = sample(|pipeline| {
            let id = json!({"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"});
            let outputs = json!([{"name": "Pages", "files": ["*"]}]);
            let network =
                json!({"VpcId": "v", "Subnets": "s", "SecurityGroupIds": "g", "ComputeType": "BUILD_GENERAL1_LARGE"});
            pipeline["stages"][1]["actions"] = json!([{"name": "Run", "actionTypeId": id, "commands": ["make"],
                "configuration": network, "inputArtifacts": [{"name": "Code"}], "outputArtifacts": outputs,
                "outputVariables": ["X"]}]);
        });
        let plan = Plan::new(&definition, &here(), &sample_source(), "abcdef");
        let action = &plan.declaration.stages[1].actions[0];
        assert_eq!(plan.rows[1].why, None);
        assert_eq!(action.commands.as_deref(), Some(&["make".to_owned()][..]));
        let keys: Vec<_> = action.configuration.iter().flatten().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["ComputeType"]);
        assert_eq!(plan.left_out, ["the VPC of Run: its commands run on this machine"]);
        Pipeline::try_from(plan.declaration).unwrap();
    }

    #[test]
    fn managed_compute_that_needs_more_than_this_machine_has_a_stand_in_without_files() {
        let definition = sample(|pipeline| {
            let id = json!({"category": "Invoke", "owner": "AWS", "provider": "InspectorScan", "version": "1"});
            pipeline["stages"][1]["actions"] = json!([{"name": "Scan", "actionTypeId": id,
                "configuration": {"InspectorRunMode": "SourceCodeScan"},
                "inputArtifacts": [{"name": "Code"}], "outputArtifacts": [{"name": "Pages"}]}]);
        });
        let plan = Plan::new(&definition, &here(), &sample_source(), "abcdef");
        assert!(plan.rows[1].why.is_some());
        Pipeline::try_from(plan.declaration).unwrap();
    }

    #[test]
    fn a_project_builds_only_what_has_its_buildspec() {
        let why = |project: NewProject, change: fn(&mut Value)| {
            let mut here = here();
            here.projects.insert(place(None, "shop"), Found::Makable(project));
            let plan = Plan::new(&sample(change), &here, &sample_source(), "abcdef");
            (plan.rows[1].why.clone(), plan.true_artifacts.contains("Pages"))
        };
        let project = |text: &str| NewProject { buildspec: Some(text.to_owned()), ..NewProject::default() };
        assert_eq!(why(project("ci/build.yml"), |_| {}), (Some("--source has no ci/build.yml".to_owned()), false));
        assert_eq!(why(project("version: 0.2\nphases: {}"), |_| {}), (None, true));
        let itself = why(project(r#"{"phases": {"build": {"commands": ["cdk -a . deploy Shop"]}}}"#), |_| {});
        assert_eq!(
            itself.0.unwrap(),
            "the emulator has no stack of the pipeline to change: what the build would deploy is compared with what runs"
        );
        let publish = |account: &str| format!("a:\n  cdk-assets --path x publish \"0a1:{account}-us-east-1-7e\"");
        assert_eq!(why(project(&publish("current_account")), |_| {}), (None, true));
        let elsewhere = why(project(&publish("111122223333")), |_| {}).0.unwrap();
        assert!(elsewhere.starts_with("its target is in the account 111122223333"), "{elsewhere}");
        let image = NewProject { privileged: true, ..project("a:\n  docker push x") };
        assert_eq!(why(image, |_| {}).0.unwrap(), "it pushes an image, and there is no registry here");
        let overridden = |pipeline: &mut Value| {
            pipeline["stages"][1]["actions"][0]["configuration"]["BuildspecOverride"] = json!("buildspec.yml");
        };
        assert_eq!(why(project("ci/build.yml"), overridden), (None, true));
        let batch = |pipeline: &mut Value| {
            pipeline["stages"][1]["actions"][0]["configuration"]["BatchEnabled"] = json!("true");
        };
        assert_eq!(why(NewProject::default(), batch).0.unwrap(), "the build host runs no batches");
    }

    #[test]
    fn what_needs_a_stand_ins_work_has_a_stand_in_too() {
        let deploy = |name: &str, configuration: Value| {
            json!({"name": name, "configuration": configuration, "inputArtifacts": [{"name": "Pages"}],
                "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "CloudFormation", "version": "1"}})
        };
        let make = json!({"ActionMode": "CHANGE_SET_REPLACE", "StackName": "s", "TemplatePath": "Pages::t.yaml"});
        let execute = json!({"ActionMode": "CHANGE_SET_EXECUTE", "StackName": "s"});
        let definition =
            sample(|pipeline| pipeline["stages"][3]["actions"] = json!([deploy("a", make), deploy("b", execute)]));
        assert_eq!(reasons(&Plan::new(&definition, &here(), &sample_source(), "abcdef"))[4..], [None, None]);
        let missing = Found::Missing("no project".to_owned());
        let here = Here { projects: BTreeMap::from([(place(None, "shop"), missing)]), ..Here::default() };
        assert_eq!(
            reasons(&Plan::new(&definition, &here, &sample_source(), "abcdef"))[4..],
            [Some("it reads t.yaml of Pages, which a stand-in has made"), Some("a stand-in takes care of the stack s")]
        );
    }

    #[test]
    fn what_actions_name_decides() {
        let deploy = |provider: &str, configuration: Value| {
            let category = if provider == "ECS" { "Deploy" } else { "Invoke" };
            json!({"name": "x", "configuration": configuration, "inputArtifacts": [{"name": "Code"}],
                "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"}})
        };
        let function =
            deploy("Lambda", json!({"FunctionName": "arn:aws:lambda:us-east-1:111122223333:function:check"}));
        let machine = deploy(
            "StepFunctions",
            json!({"StateMachineArn": "arn:aws:states:us-east-1:111122223333:stateMachine:load"}),
        );
        let service = deploy("ECS", json!({"ClusterName": "c", "ServiceName": "s"}));
        let child = deploy("CodePipeline", json!({"PipelineName": "child"}));
        let actions = json!([function, machine, service, child]);
        let definition = sample(|pipeline| pipeline["stages"][3]["actions"] = actions);
        let mut here = here();
        here.functions.insert(place(None, "check"), Found::There);
        here.machines.insert(place(None, "load"), Found::Missing("no load".to_owned()));
        here.services.insert(place(None, "c/s"), Found::Missing("there is no service c/s here".to_owned()));
        let plan = Plan::new(&definition, &here, &sample_source(), "abcdef");
        let no_child = "there is no pipeline child on the local stack";
        let expected = [None, Some("no load"), Some("there is no service c/s here"), Some(no_child)];
        assert_eq!(reasons(&plan)[4..], expected);
        let configuration = plan.declaration.stages[3].actions[0].configuration.as_ref().unwrap();
        assert_eq!(configuration["FunctionName"], "check", "the author's account and region are not the stack's");
        here.services.insert(place(None, "c/s"), Found::There);
        here.pipelines.insert("child".to_owned());
        assert_eq!(reasons(&Plan::new(&definition, &here, &sample_source(), "abcdef"))[6..], [None, None]);
    }

    #[test]
    fn a_function_gets_code_where_it_is_here_and_what_decides_is_here_too() {
        let deploy = |configuration: Value| {
            json!({"name": "x", "configuration": configuration, "inputArtifacts": [{"name": "Code"}],
                "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "Lambda", "version": "1"}})
        };
        let definition = sample(|pipeline| {
            pipeline["stages"][3]["actions"] = json!([
                deploy(json!({"FunctionName": "new", "FunctionAlias": "live"})),
                deploy(json!({"FunctionName": "new", "FunctionAlias": "live", "PublishedTargetVersion": "7"})),
                deploy(json!({"FunctionName": "there", "FunctionAlias": "live", "PublishedTargetVersion": "7"})),
                deploy(json!({"FunctionName": "there", "FunctionAlias": "live", "Alarms": "errors"})),
                deploy(json!({"FunctionName": "gone"})),
            ]);
        });
        let mut here = here();
        here.functions.insert(place(None, "new"), Found::Makable(NewFunction::default()));
        here.functions.insert(place(None, "there"), Found::There);
        here.functions.insert(place(None, "gone"), Found::Missing("no code".to_owned()));
        let plan = Plan::new(&definition, &here, &sample_source(), "abcdef");
        assert_eq!(
            reasons(&plan)[4..],
            [
                None,
                Some("the version that it deploys is on AWS"),
                None,
                Some("its alarms watch what is on AWS"),
                Some("no code"),
            ]
        );
    }

    #[test]
    fn keys_with_variables_go_first_through_codepipeline() {
        let configuration: BTreeMap<_, _> = (0..12).map(|n| (format!("k{n:02}"), "v".to_owned())).collect();
        let mut action = ActionDeclaration { configuration: Some(configuration), ..ActionDeclaration::default() };
        action.configuration.as_mut().unwrap().insert("z".to_owned(), "#{Source.CommitId}".to_owned());
        let keys = keys(&action);
        assert_eq!((keys.len(), keys[0].as_str()), (10, "z"));
        let replaced = replaced(&action, &TypeId::default(), &keys);
        assert_eq!(replaced.configuration.unwrap().len(), 10);
    }

    #[test]
    fn rules_and_triggers_that_nobody_serves_here_are_left_out() {
        let rule = |name: &str, provider: &str| json!({"name": name, "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"}});
        let definition = sample(|pipeline| {
            let (window, alarm) = (rule("w", "DeploymentWindow"), rule("a", "CloudWatchAlarm"));
            pipeline["stages"][1]["beforeEntry"] =
                json!({"conditions": [{"result": "FAIL", "rules": [window, alarm]}]});
            let late = json!([{"result": "ROLLBACK", "rules": [rule("c", "CloudWatchAlarm")]}]);
            pipeline["stages"][1]["onFailure"] = json!({"conditions": late});
            pipeline["triggers"] = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Repository"}}]);
        });
        let plan = Plan::new(&definition, &here(), &sample_source(), "abcdef");
        let stage = &plan.declaration.stages[1];
        let left: Vec<_> = crate::run::here::rules(stage).map(|rule| rule.name.as_str()).collect();
        assert_eq!(left, ["w"]);
        assert!(stage.on_failure.is_none() && plan.declaration.triggers.is_none());
        let said = plan.left_out.join("\n");
        for part in ["the rule a of stage Build: its alarm", "the rule c of stage Build: its alarm", "the triggers"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
