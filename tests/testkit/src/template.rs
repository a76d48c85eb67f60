//! The templates in `infra`, as CloudFormation reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_yaml_ng::Value;

/// A template with its short forms (`!Ref x`) written out (`{"Ref": "x"}`).
pub struct Template {
    /// The text of the file, with its short forms.
    pub text: String,
    /// The member `Parameters`, as it is in the file.
    pub parameters: Value,
    /// The resources by logical id.
    pub resources: BTreeMap<String, Value>,
}

impl Template {
    /// Reads `infra/home.yaml`, the control plane.
    pub fn home() -> Self {
        Self::read("home.yaml")
    }

    /// Reads `infra/region.yaml`, an artifact bucket and its key.
    pub fn region() -> Self {
        Self::read("region.yaml")
    }

    fn read(file: &str) -> Self {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra").join(file)).unwrap();
        let template = long_form(serde_yaml_ng::from_str(&text).unwrap());
        let resources = serde_yaml_ng::from_value(template["Resources"].clone()).unwrap();
        Self { text, parameters: template["Parameters"].clone(), resources }
    }

    /// Whether a resource is of this type, without `AWS::`.
    pub fn is(&self, name: &str, kind: &str) -> bool {
        self.resources[name]["Type"] == format!("AWS::{kind}").as_str()
    }

    /// The properties of all resources of a type, without `AWS::`.
    pub fn of_type(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let kind = format!("AWS::{kind}");
        self.resources
            .iter()
            .filter(move |(_, it)| it["Type"] == kind.as_str())
            .map(|(name, it)| (name.as_str(), &it["Properties"]))
    }

    /// What a function is given on AWS where all parameters have their defaults. What is known only to CloudFormation is
    /// named instead.
    pub fn environment(&self, function: &str) -> Environment {
        let given = self.resources[function]["Properties"]["Environment"]["Variables"].as_mapping().unwrap();
        let given = given.iter().filter_map(|(name, value)| Some((name.as_str().unwrap(), self.resolved(value)?)));
        let given = given.filter(|(name, _)| name.starts_with("MILLRACE_"));
        let given = given.map(|(name, value)| (name.to_owned(), value)).collect();
        Environment { given: Arc::new(given), read: Arc::default() }
    }

    fn resolved(&self, value: &Value) -> Option<String> {
        if let Some(choice) = value.get("Fn::If").and_then(Value::as_sequence) {
            // OnEmulator and the like: nothing of it is so by default.
            return self.resolved(&choice[2]);
        }
        match value.get("Ref").and_then(Value::as_str) {
            Some("AWS::NoValue") => None,
            Some(name) => Some(match self.parameters[name].get("Default") {
                Some(Value::String(text)) => text.clone(),
                Some(other) => serde_yaml_ng::to_string(other).unwrap().trim().to_owned(),
                None => name.to_owned(),
            }),
            None => Some(serde_yaml_ng::to_string(value).unwrap().trim().to_owned()),
        }
    }
}

/// The variables of a function whose names begin with `MILLRACE_`, and which of them have been read.
#[derive(Clone)]
pub struct Environment {
    given: Arc<BTreeMap<String, String>>,
    read: Arc<Mutex<BTreeSet<String>>>,
}

impl Environment {
    /// Each variable with its value.
    pub fn given(&self) -> &BTreeMap<String, String> {
        &self.given
    }

    /// For `Settings::read`: a lookup that remembers what it was asked for, but for what a local stack adds to the template's
    /// variables.
    pub fn lookup(&self) -> impl Fn(&'static str) -> Option<String> + Send + Sync + 'static {
        let it = self.clone();
        move |name| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            name if name.starts_with("MILLRACE_") && !name.starts_with("MILLRACE_LOCAL_") => {
                it.read.lock().unwrap().insert(name.to_owned());
                it.given.get(name).cloned()
            }
            _ => None,
        }
    }

    /// Fails when the function reads what it is not given, or is given what it does not read.
    pub fn assert_read(&self) {
        let given: BTreeSet<_> = self.given.keys().cloned().collect();
        assert_eq!(*self.read.lock().unwrap(), given, "left: what it reads, right: what home.yaml gives it");
    }
}

fn long_form(value: Value) -> Value {
    match value {
        Value::Tagged(tagged) => {
            let name = tagged.tag.to_string();
            let name = name.trim_start_matches('!');
            let key = if name == "Ref" { name.to_owned() } else { format!("Fn::{name}") };
            Value::Mapping([(Value::from(key), long_form(tagged.value))].into_iter().collect())
        }
        Value::Sequence(items) => items.into_iter().map(long_form).collect::<Vec<_>>().into(),
        Value::Mapping(members) => {
            Value::Mapping(members.into_iter().map(|(key, value)| (key, long_form(value))).collect())
        }
        value => value,
    }
}
