//! CloudFormation's intrinsic functions, as far as their results can be known without the stack. Source: CloudFormation
//! template reference, 'Intrinsic function reference' and 'Pseudo parameters reference'.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use local::{ACCOUNT, HOME};
use serde_json::{Map, Value, json};

use super::template::{Template, text};

/// Values inside values, names made of names: more than any template has, unless it refers to itself.
const DEEPEST: usize = 100;

/// A place in a template, for errors.
#[derive(Clone, Debug)]
pub(super) struct At {
    path: String,
    depth: usize,
}

impl At {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), depth: 0 }
    }

    /// A member of it.
    pub(super) fn inside(&self, member: &str) -> Self {
        Self { path: format!("{}.{member}", self.path), depth: self.depth + 1 }
    }

    /// A place to which this one refers.
    pub(super) fn to(&self, path: &str) -> Result<Self> {
        ensure!(self.depth < DEEPEST, "{self} refers to itself");
        Ok(Self { path: path.to_owned(), depth: self.depth + 1 })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

fn list<'a>(value: &'a Value, function: &str, at: &At) -> Result<&'a [Value]> {
    value.as_array().map(Vec::as_slice).with_context(|| format!("{at}: {function} takes a list"))
}

impl Template {
    /// The value with every function in it resolved. Null stands for `AWS::NoValue`, and lists and objects have none of it.
    pub(super) fn resolve(&self, value: &Value, at: &At) -> Result<Value> {
        let at = &at.to(&at.to_string())?;
        match value {
            Value::Array(values) => {
                let values = values.iter().enumerate().map(|(n, it)| self.resolve(it, &at.inside(&n.to_string())));
                let values = values.collect::<Result<Vec<_>>>()?;
                Ok(values.into_iter().filter(|it| !it.is_null()).collect())
            }
            Value::Object(members) => match self.result(members, at)? {
                Some(result) => Ok(result),
                None => {
                    let members = members.iter().map(|(key, it)| Ok((key.clone(), self.resolve(it, &at.inside(key))?)));
                    let members = members.collect::<Result<Map<_, _>>>()?;
                    Ok(Value::Object(members.into_iter().filter(|(_, it)| !it.is_null()).collect()))
                }
            },
            scalar => Ok(scalar.clone()),
        }
    }

    /// The value as a text.
    pub(super) fn text(&self, value: &Value, at: &At) -> Result<String> {
        match self.resolve(value, at)? {
            Value::Null => Ok(String::new()),
            value => Ok(text(&value)),
        }
    }

    /// The result of the function that this object is; none: it is an object.
    fn result(&self, members: &Map<String, Value>, at: &At) -> Result<Option<Value>> {
        let mut all = members.iter();
        let (Some((name, argument)), None) = (all.next(), all.next()) else { return Ok(None) };
        Ok(Some(match name.as_str() {
            "Ref" => self.value_of(argument.as_str().with_context(|| format!("{at}: Ref takes a name"))?, at)?,
            "Fn::GetAtt" => {
                let [resource, rest @ ..] = list(argument, name, at)? else { bail!("{at}: Fn::GetAtt names nothing") };
                let rest = rest.iter().map(|it| self.text(it, at)).collect::<Result<Vec<_>>>()?;
                self.attribute(&text(resource), &rest.join("."), at)?.into()
            }
            "Fn::Sub" => self.sub(argument, at)?.into(),
            "Fn::Join" => {
                let [separator, parts] = list(argument, name, at)? else { bail!("{at}: Fn::Join takes two values") };
                let parts = self.resolve(parts, at)?;
                let parts: Vec<_> = list(&parts, name, at)?.iter().map(text).collect();
                parts.join(&text(separator)).into()
            }
            "Fn::Split" => {
                let [separator, whole] = list(argument, name, at)? else { bail!("{at}: Fn::Split takes two values") };
                let whole = self.text(whole, at)?;
                whole.split(text(separator).as_str()).collect()
            }
            "Fn::Select" => {
                let [index, values] = list(argument, name, at)? else { bail!("{at}: Fn::Select takes two values") };
                let index = self.text(index, at)?;
                let values = self.resolve(values, at)?;
                let found =
                    index.parse::<usize>().ok().and_then(|index| list(&values, name, at).ok()?.get(index).cloned());
                found.with_context(|| format!("{at}: Fn::Select finds no value {index} in {values}"))?
            }
            "Fn::If" => {
                let [condition, yes, no] = list(argument, name, at)? else { bail!("{at}: Fn::If takes three values") };
                let holds = self.condition(&json!({"Condition": condition}), at)?;
                self.resolve(if holds { yes } else { no }, at)?
            }
            "Fn::FindInMap" => self.find_in_map(list(argument, name, at)?, at)?,
            "Fn::ImportValue" => {
                let export = self.text(argument, at)?;
                let given = self.parameters.get(&export);
                given
                    .cloned()
                    .with_context(|| {
                        format!(
                            "{at}: Fn::ImportValue {export} is known only on AWS; say it: --parameter {export}=VALUE"
                        )
                    })?
                    .into()
            }
            "Fn::Base64" => STANDARD.encode(self.text(argument, at)?).into(),
            "Fn::ToJsonString" => self.resolve(argument, at)?.to_string().into(),
            "Fn::Length" => self.resolve(argument, at)?.as_array().map_or(0, Vec::len).into(),
            "Fn::GetAZs" => {
                let region = Some(self.text(argument, at)?).filter(|it| !it.is_empty());
                let region = region.unwrap_or_else(|| HOME.to_owned());
                ["a", "b", "c"].into_iter().map(|zone| format!("{region}{zone}")).collect()
            }
            "Fn::And" | "Fn::Or" | "Fn::Not" | "Fn::Equals" => self.condition(&json!({name: argument}), at)?.into(),
            unknown if unknown.starts_with("Fn::") => bail!("{at}: {unknown} cannot be resolved here"),
            _ => return Ok(None),
        }))
    }

    /// The value of a pseudo parameter, a parameter, or a resource's `Ref`.
    fn value_of(&self, name: &str, at: &At) -> Result<Value> {
        Ok(match name {
            "AWS::AccountId" => ACCOUNT.into(),
            "AWS::NoValue" => Value::Null,
            "AWS::NotificationARNs" => json!([]),
            "AWS::Partition" => "aws".into(),
            "AWS::Region" => HOME.into(),
            "AWS::StackId" => format!("arn:aws:cloudformation:{HOME}:{ACCOUNT}:stack/{}/local", self.stack).into(),
            "AWS::StackName" => self.stack.clone().into(),
            "AWS::URLSuffix" => "amazonaws.com".into(),
            name => match self.document.get("Parameters").and_then(|it| it.get(name)) {
                Some(parameter) => self.parameter(name, parameter, at)?,
                None => self.reference(name, at)?.into(),
            },
        })
    }

    fn parameter(&self, name: &str, parameter: &Value, at: &At) -> Result<Value> {
        let kind = parameter.get("Type").map_or_else(String::new, text);
        let stored = kind.starts_with("AWS::SSM::Parameter::Value");
        // The default of a stored one is the name under which it is stored.
        let default = parameter.get("Default").filter(|_| !stored).map(text);
        let value = self.parameters.get(name).cloned().or(default).with_context(|| {
            let why = if stored { "is read from Parameter Store" } else { "has no default" };
            let others: Vec<_> = self.without_value().into_iter().filter(|other| other != name).collect();
            let others =
                if others.is_empty() { String::new() } else { format!(" (no value either: {})", others.join(", ")) };
            format!("{at}: the parameter {name} {why}; say it: --parameter {name}=VALUE{others}")
        })?;
        if kind == "CommaDelimitedList" || kind.contains("List<") {
            return Ok(value.split(',').map(str::trim).collect());
        }
        Ok(value.into())
    }

    /// The parameters that were not given and have no default, so that they can all be given at once.
    fn without_value(&self) -> Vec<String> {
        let declared = self.document.get("Parameters").and_then(Value::as_object).into_iter().flatten();
        let missing = declared.filter(|(name, it)| it.get("Default").is_none() && !self.parameters.contains_key(*name));
        missing.map(|(name, _)| name.clone()).collect()
    }

    fn sub(&self, argument: &Value, at: &At) -> Result<String> {
        let none = Map::new();
        let (pattern, own) = match argument {
            Value::String(pattern) => (pattern, &none),
            Value::Array(both) => match both.as_slice() {
                [Value::String(pattern), Value::Object(own)] => (pattern, own),
                _ => bail!("{at}: Fn::Sub takes a text and a map"),
            },
            _ => bail!("{at}: Fn::Sub takes a text"),
        };
        let mut parts = pattern.split("${");
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let Some((name, rest)) = part.split_once('}') else {
                result.push_str("${");
                result.push_str(part);
                continue;
            };
            let name = name.trim();
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
            } else if let Some(value) = own.get(name) {
                result.push_str(&self.text(value, at)?);
            } else if let Some((resource, attribute)) = name.split_once('.') {
                result.push_str(&self.attribute(resource, attribute, at)?);
            } else {
                result.push_str(&text(&self.value_of(name, at)?));
            }
            result.push_str(rest);
        }
        Ok(result)
    }

    fn find_in_map(&self, arguments: &[Value], at: &At) -> Result<Value> {
        let [map, first, second, rest @ ..] = arguments else { bail!("{at}: Fn::FindInMap takes three values") };
        let [map, first, second] = [self.text(map, at)?, self.text(first, at)?, self.text(second, at)?];
        let found = self.document.get("Mappings").and_then(|it| it.get(&map)?.get(&first)?.get(&second));
        match (found, rest.first().and_then(|it| it.get("DefaultValue"))) {
            (Some(found), _) => Ok(found.clone()),
            (None, Some(default)) => self.resolve(default, at),
            (None, None) => bail!("{at}: Fn::FindInMap finds no {map}.{first}.{second}"),
        }
    }

    /// Whether a condition, or the name of one, holds.
    pub(super) fn condition(&self, value: &Value, at: &At) -> Result<bool> {
        let members = value.as_object().filter(|it| it.len() == 1);
        let (name, argument) =
            members.and_then(|it| it.iter().next()).with_context(|| format!("{at} is no condition"))?;
        if name == "Condition" {
            let name = text(argument);
            let condition = self.document.get("Conditions").and_then(|it| it.get(&name));
            let condition = condition.with_context(|| format!("{at}: there is no condition {name}"))?;
            return self.condition(condition, &at.to(&format!("Conditions.{name}"))?);
        }
        let arguments = list(argument, name, at)?;
        let all =
            || arguments.iter().map(|it| self.condition(it, &at.to(&at.to_string())?)).collect::<Result<Vec<_>>>();
        Ok(match (name.as_str(), arguments) {
            ("Fn::And", _) => all()?.into_iter().all(|holds| holds),
            ("Fn::Or", _) => all()?.into_iter().any(|holds| holds),
            ("Fn::Not", [condition]) => !self.condition(condition, &at.to(&at.to_string())?)?,
            ("Fn::Equals", [left, right]) => self.text(left, at)? == self.text(right, at)?,
            _ => bail!("{at}: {name} is no condition that can be resolved here"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::template::parse;
    use super::*;

    const TEMPLATE: &str = r#"
Parameters:
  Branch: {Type: String, Default: main}
  Token: {Type: String, NoEcho: true}
  Subnets: {Type: CommaDelimitedList, Default: "a, b"}
  Image: {Type: "AWS::SSM::Parameter::Value<String>", Default: /aws/image}
Mappings:
  Sizes: {prod: {count: 3}}
Conditions:
  IsMain: !Equals [!Ref Branch, main]
  IsOther: !Not [!Condition IsMain]
  Both: !And [!Condition IsMain, !Or [!Condition IsOther, !Equals [a, a]]]
  Circle: !Not [!Condition Circle]
Resources:
  Topic: {Type: AWS::SNS::Topic}
  Site: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub "site-${AWS::AccountId}"}}
  Logs: {Type: AWS::S3::Bucket}
  Build: {Type: AWS::CodeBuild::Project, Properties: {Name: !Join ["-", [build, !Ref Branch]]}}
  Balancer: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer}
  Loop: {Type: AWS::S3::Bucket, Properties: {BucketName: !Ref Loop}}
"#;

    fn resolved(expression: &str) -> Result<Value> {
        let parameters = BTreeMap::from([("shared-Role".to_owned(), "arn:role".to_owned())]);
        let template =
            Template { document: parse(TEMPLATE)?, parameters, stack: "shop".to_owned(), ..Template::default() };
        template.resolve(&parse(expression)?, &At::new("Place"))
    }

    fn error(expression: &str) -> String {
        format!("{:#}", resolved(expression).unwrap_err())
    }

    #[test]
    fn each_function_has_its_result() {
        for (expression, result) in [
            ("!Ref Branch", json!("main")),
            ("!Ref Subnets", json!(["a", "b"])),
            ("!Ref AWS::Region", json!(HOME)),
            ("!Ref Topic", json!(format!("arn:aws:sns:{HOME}:{ACCOUNT}:shop-Topic"))),
            ("!Ref Site", json!(format!("site-{ACCOUNT}"))),
            ("!Ref Logs", json!("shop-logs")),
            ("!Ref Build", json!("build-main")),
            ("!GetAtt Build.Arn", json!(format!("arn:aws:codebuild:{HOME}:{ACCOUNT}:project/build-main"))),
            ("Fn::GetAtt: [Topic, TopicName]", json!("shop-Topic")),
            (
                "!Sub '${Branch}/${Site}/${Build.Arn}/${!Kept}/$x'",
                json!(format!(
                    "main/site-{ACCOUNT}/arn:aws:codebuild:{HOME}:{ACCOUNT}:project/build-main/${{Kept}}/$x"
                )),
            ),
            ("!Sub ['${Own}-${Branch}', {Own: !Ref Branch}]", json!("main-main")),
            ("!Join [',', !Ref Subnets]", json!("a,b")),
            ("!Select [1, !Split ['/', a/b/c]]", json!("b")),
            ("!Select ['0', !Ref Subnets]", json!("a")),
            ("!If [IsMain, yes it is, no]", json!("yes it is")),
            ("a: !If [IsOther, x, !Ref AWS::NoValue]\nb: [1, !Ref AWS::NoValue]", json!({"b": [1]})),
            ("!If [Both, 1, 2]", json!(1)),
            ("!FindInMap [Sizes, prod, count]", json!(3)),
            ("!FindInMap [Sizes, test, count, {DefaultValue: 1}]", json!(1)),
            ("!ImportValue shared-Role", json!("arn:role")),
            ("!Base64 hello", json!("aGVsbG8=")),
            ("Fn::ToJsonString: {a: !Ref Branch}", json!("{\"a\":\"main\"}")),
            ("Ref: Branch\nother: 1", json!({"Ref": "Branch", "other": 1})),
        ] {
            assert_eq!(resolved(expression).unwrap(), result, "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_said_with_its_place() {
        assert_eq!(
            error("a: [!Ref Token]"),
            "Place.a.0: the parameter Token has no default; say it: --parameter Token=VALUE"
        );
        assert!(error("!Ref Image").ends_with("--parameter Image=VALUE (no value either: Token)"));
        assert!(error("!Ref Nothing").contains("Place: there is no resource Nothing"));
        assert!(error("!GetAtt Balancer.DNSName").contains("Place: Fn::GetAtt Balancer.DNSName is known only"));
        assert!(error("!ImportValue other").contains("--parameter other=VALUE"));
        assert!(error("!FindInMap [Sizes, test, count]").contains("finds no Sizes.test.count"));
        assert!(error("!Select [7, !Ref Subnets]").contains("finds no value 7"));
        assert!(error("!Transform {Name: x}").contains("Fn::Transform cannot be resolved here"));
        assert!(error("!If [Unheard, 1, 2]").contains("there is no condition Unheard"));
        assert!(error("!GetAtt Build").contains("!GetAtt Build has no attribute"));
    }

    #[test]
    fn what_refers_to_itself_is_refused() {
        assert!(error("!Ref Loop").contains("refers to itself"));
        assert!(error("!If [Circle, 1, 2]").contains("refers to itself"));
    }
}
