//! A bucket: where it is, whose it is, and what it keeps.

use aws_sdk_s3::types::{BucketVersioningStatus, ServerSideEncryption};

use super::Place;
use super::finding::{Findings, Look};

/// What is asked of a bucket.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) region: &'a str,
    /// The account that must own it; none: any.
    pub(super) owner: Option<&'a str>,
    /// Without versions an action fails; otherwise an overwritten artifact is lost.
    pub(super) needs_versions: bool,
    /// Whether its objects must be under a key of KMS.
    pub(super) encrypted: bool,
}

/// Looks at a bucket. `what` is how findings call it. Answers whether it is there.
pub(super) async fn look(
    place: &Place<'_>,
    what: &str,
    name: &str,
    wanted: Wanted<'_>,
    findings: &mut Findings,
) -> bool {
    let client = place.account.s3(wanted.region);
    let arn = format!("arn:{}:s3:::{name}", runtime::arn::partition(wanted.region));
    let owner = wanted.owner.map(str::to_owned);
    let location = client.get_bucket_location().bucket(name).set_expected_bucket_owner(owner.clone()).send().await;
    // Whoever asks in the wrong region is told the right one, and no more.
    let elsewhere = location.as_ref().err().and_then(|error| error.raw_response());
    let elsewhere = elsewhere.and_then(|response| response.headers().get("x-amz-bucket-region"));
    if let Some(region) = elsewhere.filter(|region| *region != wanted.region).map(str::to_owned) {
        findings.error(format!("{what} is in {region}"), format!("name a bucket of {} instead", wanted.region));
        return true;
    }
    match findings.look(what, "s3:GetBucketLocation", &arn, location) {
        Look::Missing => {
            let (region, bucket) = (wanted.region, name);
            findings.error(format!("{what} does not exist"), format!("aws s3 mb s3://{bucket} --region {region}"));
            return false;
        }
        Look::Unknown => return true,
        Look::Found(found) => {
            let region = match found.location_constraint().map_or("", |it| it.as_str()) {
                "" => "us-east-1",
                "EU" => "eu-west-1",
                other => other,
            };
            findings.must(
                region == wanted.region,
                format!("{what} is in {region}"),
                format!("name a bucket of {} instead", wanted.region),
            );
        }
    }
    let versioning = client.get_bucket_versioning().bucket(name).set_expected_bucket_owner(owner.clone()).send().await;
    if let Some(found) = findings.look(what, "s3:GetBucketVersioning", &arn, versioning).found() {
        let mend = format!(
            "aws s3api put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled --region {}",
            wanted.region
        );
        match (found.status() == Some(&BucketVersioningStatus::Enabled), wanted.needs_versions) {
            (true, _) => findings.ok(format!("{what} keeps versions")),
            (false, true) => {
                findings.error(format!("{what} keeps no versions, without which an S3 source fails"), mend)
            }
            (false, false) => {
                findings.warning(format!("{what} keeps no versions: an artifact that is overwritten is lost"), mend);
            }
        }
    }
    if wanted.encrypted {
        let encryption = client.get_bucket_encryption().bucket(name).set_expected_bucket_owner(owner).send().await;
        let mend = "millrace deploy (the template of the region has the key)";
        match findings.look(what, "s3:GetEncryptionConfiguration", &arn, encryption) {
            Look::Found(found) => {
                let rules = found.server_side_encryption_configuration().map(|it| it.rules()).unwrap_or_default();
                let algorithms = rules.iter().filter_map(|rule| rule.apply_server_side_encryption_by_default());
                let with_kms = [ServerSideEncryption::AwsKms, ServerSideEncryption::AwsKmsDsse];
                match algorithms.map(|it| it.sse_algorithm()).any(|it| with_kms.contains(it)) {
                    true => findings.ok(format!("{what} encrypts with KMS")),
                    false if findings.emulator => {
                        findings
                            .warning(format!("{what} encrypts without KMS"), "emulators may not say it: look on AWS");
                    }
                    false => findings.error(format!("{what} encrypts without KMS"), mend),
                }
            }
            Look::Missing => findings.error(format!("{what} does not encrypt what is stored in it"), mend),
            Look::Unknown => {}
        }
    }
    true
}
