//! A task definition as a file, in the JSON of ECS's own API. Source: ECS API, `RegisterTaskDefinition`.
//!
//! The SDK's own schema reads it, which passes over members that it does not know. So what is to be sent is written once
//! more, and whatever the file had and that does not have is refused: a misspelt member would otherwise be lost without a
//! word.

use aws_sdk_ecs::operation::register_task_definition::RegisterTaskDefinitionInput;
use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionInputBuilder;
use aws_sdk_ecs::types::TaskDefinition;
use aws_smithy_json::codec::{JsonCodec, JsonCodecSettings};
use aws_smithy_schema::codec::Codec;
use aws_smithy_schema::serde::{SerializableStruct, ShapeSerializer};
use runtime::arn::partition;
use serde_json::{Map, Value, json};

use crate::permission::{PASS_ROLE, Permission, condition, everything, passed_to};

/// What registering a task definition takes, whose roles and family only its file knows.
pub(crate) const REGISTER: &[Permission] = &[
    // Source: Service Authorization Reference, 'Amazon ECS': no resources where a revision is registered.
    Permission::new(&["ecs:RegisterTaskDefinition"], everything),
    Permission::new(&["ecs:TagResource"], |scope| vec![scope.arn("ecs", "task-definition/*")])
        .when(|_| condition("StringEquals", "ecs:CreateAction", ["RegisterTaskDefinition"])),
    Permission::new(PASS_ROLE, |scope| {
        vec![format!("arn:{}:iam::{}:role/*", partition(scope.region), scope.role_account())]
    })
    .when(|_| passed_to("ecs-tasks.amazonaws.com")),
];

/// What a placeholder stands for, such as `<IMAGE1_NAME>`.
pub(crate) type Replacement = (String, String);

/// Reads a task definition, in which text may contain placeholders. Members with which ECS describes a task definition and
/// does not register one (`revision`, `status` ...) are left out: many files are what `DescribeTaskDefinition` answered.
///
/// # Errors
/// What is wrong, with the place in the file.
pub(crate) fn read(json: &str, replacements: &[Replacement]) -> Result<RegisterTaskDefinitionInputBuilder, String> {
    let mut members: Map<String, Value> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    members.retain(|name, _| {
        RegisterTaskDefinitionInput::SCHEMA.member_schema(name).is_some()
            || TaskDefinition::SCHEMA.member_schema(name).is_none()
    });
    let mut definition = Value::Object(members);
    replace(&mut definition, replacements);
    decode(&definition).map_err(|error| {
        let place = place(&definition, &|part| part);
        format!("{}: {error}", place.trim_start_matches('.'))
    })
}

fn replace(value: &mut Value, replacements: &[Replacement]) {
    match value {
        Value::String(text) => {
            for (placeholder, value) in replacements {
                *text = text.replace(placeholder, value);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|it| replace(it, replacements)),
        Value::Object(members) => members.values_mut().for_each(|it| replace(it, replacements)),
        _ => {}
    }
}

fn decode(definition: &Value) -> Result<RegisterTaskDefinitionInputBuilder, String> {
    let codec = JsonCodec::new(JsonCodecSettings::builder().enforce_strictness(true).build());
    let bytes = serde_json::to_vec(definition).map_err(|error| error.to_string())?;
    let read = RegisterTaskDefinitionInput::deserialize(&mut codec.create_deserializer(&bytes));
    let request = request(read.map_err(|error| error.to_string())?);
    let sent = request.clone().build().map_err(|error| error.to_string())?;
    let mut serializer = codec.create_serializer();
    serializer.write_struct(sent.schema(), &sent).map_err(|error| error.to_string())?;
    let sent: Value = serde_json::from_slice(&serializer.finish()).map_err(|error| error.to_string())?;
    match has_all(&sent, definition) {
        true => Ok(request),
        false => Err("ECS's API has no such member, as far as Millrace knows it".to_owned()),
    }
}

/// The request of an input. Should the SDK add a member that is missing here, [`decode`] refuses files that have it.
#[expect(deprecated, reason = "ECS itself says what it no longer takes")]
fn request(input: RegisterTaskDefinitionInput) -> RegisterTaskDefinitionInputBuilder {
    RegisterTaskDefinitionInput::builder()
        .set_family(input.family)
        .set_task_role_arn(input.task_role_arn)
        .set_execution_role_arn(input.execution_role_arn)
        .set_network_mode(input.network_mode)
        .set_container_definitions(input.container_definitions)
        .set_volumes(input.volumes)
        .set_placement_constraints(input.placement_constraints)
        .set_requires_compatibilities(input.requires_compatibilities)
        .set_cpu(input.cpu)
        .set_memory(input.memory)
        .set_tags(input.tags)
        .set_pid_mode(input.pid_mode)
        .set_ipc_mode(input.ipc_mode)
        .set_proxy_configuration(input.proxy_configuration)
        .set_inference_accelerators(input.inference_accelerators)
        .set_ephemeral_storage(input.ephemeral_storage)
        .set_runtime_platform(input.runtime_platform)
        .set_enable_fault_injection(input.enable_fault_injection)
}

/// Whether nothing of a file is missing in what is sent. A member that is null says nothing.
fn has_all(sent: &Value, file: &Value) -> bool {
    match (sent, file) {
        (Value::Object(sent), Value::Object(file)) => {
            file.iter().all(|(name, value)| value.is_null() || sent.get(name).is_some_and(|it| has_all(it, value)))
        }
        (Value::Array(sent), Value::Array(file)) => {
            sent.len() == file.len() && sent.iter().zip(file).all(|(sent, file)| has_all(sent, file))
        }
        _ => true,
    }
}

/// Where the first thing stands that cannot be decoded, which the SDK's errors do not say: it is looked for by decoding one
/// part after the other. `whole` puts a part where it stands in the file, without the other parts.
fn place(value: &Value, whole: &dyn Fn(Value) -> Value) -> String {
    let fails = |part: Value| decode(&whole(part)).is_err();
    // Even without what is in it: then it is the value itself that cannot stand there.
    let empty = match value {
        Value::Object(_) => json!({}),
        Value::Array(_) => json!([]),
        _ => return String::new(),
    };
    if fails(empty) {
        return String::new();
    }
    match value {
        Value::Object(members) => {
            let alone = |name: &String, value: Value| Value::Object(Map::from_iter([(name.clone(), value)]));
            let wrong = members.iter().find(|(name, value)| fails(alone(name, (*value).clone())));
            wrong.map_or_else(String::new, |(name, value)| {
                format!(".{name}{}", place(value, &|part| whole(alone(name, part))))
            })
        }
        Value::Array(list) => {
            let wrong = list.iter().enumerate().find(|(_, value)| fails(json!([value])));
            wrong.map_or_else(String::new, |(n, value)| format!("[{n}]{}", place(value, &|part| whole(json!([part])))))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(definition: &Value) -> String {
        read(&definition.to_string(), &[]).unwrap_err()
    }

    #[test]
    fn what_ecs_does_not_know_or_of_another_type_is_refused_with_its_place() {
        for (definition, expected) in [
            (json!({"familly": "web"}), "familly: ECS's API has no such member"),
            (json!({"family": "web", "cpu": 256}), "cpu: type mismatch"),
            (json!({"containerDefinitions": {"name": "web"}}), "containerDefinitions: type mismatch"),
            (json!({"options": {"a": {"b": 1}}}), "options: ECS's API has no such member"),
            (
                json!({"family": "web", "containerDefinitions": [
                    {"name": "web", "image": "nginx", "portMappings": [{"containerPort": 80}]},
                    {"name": "log", "portMappings": [{"containerPort": 1}, {"hostPort": 1, "containerport": 80}]},
                ]}),
                "containerDefinitions[1].portMappings[1].containerport: ECS's API has no such member",
            ),
            (
                json!({"containerDefinitions": [{"name": "web", "essential": "yes"}]}),
                "containerDefinitions[0].essential: ",
            ),
            (json!({"containerDefinitions": [{"cpu": 4_294_967_296_u64}]}), "containerDefinitions[0].cpu: "),
        ] {
            let error = refused(&definition);
            assert!(error.starts_with(expected), "{error}");
        }
        for no_object in ["", "[]", "family: web", r#"{"family": "web","#] {
            assert!(read(no_object, &[]).is_err(), "{no_object}");
        }
    }

    #[test]
    fn values_that_say_nothing_and_maps_of_any_keys_are_no_unknown_members() {
        let definition = json!({
            "family": "web", "taskRoleArn": null, "volumes": [], "enableFaultInjection": false,
            "containerDefinitions": [{
                "name": "web", "cpu": 0, "mountPoints": [], "dockerLabels": {"any.label": "x"}, "healthCheck": null,
                "logConfiguration": {"logDriver": "new-driver", "options": {"any-option": "x"}},
                "portMappings": [{"containerPort": 80, "hostPort": 0}],
            }],
        });
        let read = read(&definition.to_string(), &[]).unwrap();
        assert_eq!(read.get_enable_fault_injection(), &Some(false));
        assert_eq!(read.get_container_definitions().as_ref().unwrap()[0].cpu(), 0);
    }
}
