//! Where a person finds what an action works on: pages of the AWS console, and those that a custom action type names. And
//! where the API itself is found.

use pipeline::Action;

/// The page of the bucket, function or the like that an action's configuration names; none where it names nothing that
/// has a page, or names it by variables.
pub fn entity(action: &Action, home: &str) -> Option<String> {
    match &action.custom {
        Some(custom) => custom.entity_page(&action.configuration),
        None => providers::entity_page(action, home),
    }
}

/// The API's own URL, from what API Gateway says of a request: on AWS, or on an emulator at this address.
pub fn base(emulator: Option<&str>, region: &str, api: &str, stage: &str) -> String {
    match emulator {
        Some(address) => format!("{}/restapis/{api}/{stage}/_user_request_", address.trim_end_matches('/')),
        None => {
            let suffix = if runtime::arn::partition(region) == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
            format!("https://{api}.execute-api.{region}.{suffix}/{stage}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::{Declaration, Pipeline};
    use serde_json::json;

    fn of(bucket: &str, region: &str) -> Option<String> {
        let change = ("/stages/3/actions/0/configuration/BucketName", json!(bucket));
        let declared = conformance::declaration::release("release", &[change]);
        let pipeline = Pipeline::try_from(serde_json::from_value::<Declaration>(declared).unwrap()).unwrap();
        entity(&pipeline.stages()[3].actions[0], region)
    }

    #[test]
    fn a_bucket_has_a_page_in_its_partition_s_console() {
        let page = "https://eu-west-1.console.aws.amazon.com/s3/buckets/site?region=eu-west-1";
        assert_eq!(of("site", "eu-west-1").as_deref(), Some(page));
        assert!(of("site", "cn-north-1").unwrap().starts_with("https://cn-north-1.console.amazonaws.cn/"));
    }

    #[test]
    fn the_api_is_found_on_aws_and_on_emulators() {
        assert_eq!(base(None, "eu-west-1", "abc", "live"), "https://abc.execute-api.eu-west-1.amazonaws.com/live");
        assert!(base(None, "cn-north-1", "abc", "live").ends_with(".amazonaws.com.cn/live"));
        let local = "http://127.0.0.1:4566/restapis/abc/live/_user_request_";
        assert_eq!(base(Some("http://127.0.0.1:4566/"), "eu-west-1", "abc", "live"), local);
    }

    #[test]
    fn what_is_named_by_variables_or_is_no_name_has_none() {
        assert_eq!(of("#{Source.BucketName}", "eu-west-1"), None);
        assert_eq!(of("a b<script>", "eu-west-1"), None);
    }
}
