//! Amazon resource names that Millrace gives out.

use pipeline::TypeId;

/// A pipeline's ARN: `arn:aws:codepipeline:{region}:{account}:{name}`. Source: CodePipeline user guide, 'Identity and
/// access management', resource types.
pub fn pipeline(region: &str, account: &str, name: &str) -> String {
    format!("arn:{}:codepipeline:{region}:{account}:{name}", partition(region))
}

/// The name in a pipeline's ARN, if it is one of this region and account.
pub fn pipeline_name<'a>(arn: &'a str, region: &str, account: &str) -> Option<&'a str> {
    let name = arn.strip_prefix(pipeline(region, account, "").as_str())?;
    (!name.is_empty() && !name.contains([':', '/'])).then_some(name)
}

/// A webhook's ARN: `arn:aws:codepipeline:{region}:{account}:webhook:{name}`. Source: as above.
pub fn webhook(region: &str, account: &str, name: &str) -> String {
    format!("arn:{}:codepipeline:{region}:{account}:webhook:{name}", partition(region))
}

/// The name in a webhook's ARN, if it is one of this region and account.
pub fn webhook_name<'a>(arn: &'a str, region: &str, account: &str) -> Option<&'a str> {
    let name = arn.strip_prefix(webhook(region, account, "").as_str())?;
    (!name.is_empty() && !name.contains([':', '/'])).then_some(name)
}

/// An SNS topic's ARN: `arn:aws:sns:{region}:{account}:{name}`. Source: Service Authorization Reference, 'Amazon SNS'.
pub fn topic(region: &str, account: &str, name: &str) -> String {
    format!("arn:{}:sns:{region}:{account}:{name}", partition(region))
}

/// The partition of a region. Source: AWS General Reference, 'Amazon Resource Names'.
pub fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// The domain under which a region's services have their names, as in `s3.eu-west-1.amazonaws.com`.
pub fn service_domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// An action type's ARN: `arn:aws:codepipeline:{region}:{account}:actiontype:{owner}/{category}/{provider}/{version}`.
/// Source: CodePipeline user guide, 'Tag a custom action'.
pub fn action_type(region: &str, account: &str, id: &TypeId) -> String {
    let owner = id.owner.as_deref().unwrap_or_default();
    let version = id.version.as_deref().unwrap_or_default();
    let name = format!("{owner}/{}/{}/{version}", id.category, id.provider);
    format!("arn:{}:codepipeline:{region}:{account}:actiontype:{name}", partition(region))
}

/// The id in an action type's ARN, if it is one of this region and account.
pub fn action_type_id(arn: &str, region: &str, account: &str) -> Option<TypeId> {
    let start = format!("arn:{}:codepipeline:{region}:{account}:actiontype:", partition(region));
    match arn.strip_prefix(start.as_str())?.split('/').collect::<Vec<_>>()[..] {
        [owner, category, provider, version] => {
            let (owner, version) = (Some(owner.to_owned()), Some(version.to_owned()));
            Some(TypeId { category: category.to_owned(), owner, provider: provider.to_owned(), version })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_arn_leads_back_to_its_name() {
        let arn = pipeline("eu-west-1", "123456789012", "shop");
        assert_eq!(arn, "arn:aws:codepipeline:eu-west-1:123456789012:shop");
        assert_eq!(pipeline_name(&arn, "eu-west-1", "123456789012"), Some("shop"));
        assert_eq!(pipeline_name(&arn, "eu-west-2", "123456789012"), None, "another region's");
        assert_eq!(pipeline_name(&arn, "eu-west-1", "999999999999"), None, "another account's");
        assert_eq!(pipeline_name("arn:aws:codepipeline:eu-west-1:123456789012:", "eu-west-1", "123456789012"), None);
        let hook = webhook("eu-west-1", "123456789012", "push");
        assert_eq!(hook, "arn:aws:codepipeline:eu-west-1:123456789012:webhook:push");
        assert_eq!(webhook_name(&hook, "eu-west-1", "123456789012"), Some("push"));
        assert_eq!(webhook_name(&hook, "eu-west-2", "123456789012"), None, "another region's");
        assert_eq!(pipeline_name(&hook, "eu-west-1", "123456789012"), None);
        assert!(pipeline("cn-north-1", "123456789012", "shop").starts_with("arn:aws-cn:"));
    }

    #[test]
    fn an_action_type_s_arn_leads_back_to_its_id() {
        let (owner, version) = (Some("Custom".to_owned()), Some("1".to_owned()));
        let id = TypeId { category: "Build".to_owned(), owner, provider: "Jenkins".to_owned(), version };
        let arn = action_type("eu-west-1", "123456789012", &id);
        assert_eq!(arn, "arn:aws:codepipeline:eu-west-1:123456789012:actiontype:Custom/Build/Jenkins/1");
        assert_eq!(action_type_id(&arn, "eu-west-1", "123456789012"), Some(id));
        assert_eq!(action_type_id(&arn, "eu-west-2", "123456789012"), None, "another region's");
        assert_eq!(action_type_id(&format!("{arn}/2"), "eu-west-1", "123456789012"), None);
        assert_eq!(pipeline_name(&arn, "eu-west-1", "123456789012"), None, "nor is it a pipeline's");
    }
}
