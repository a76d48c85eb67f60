//! The bucket that holds templates and functions for CloudFormation.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};

use crate::account::{Account, Caller};

/// Longest name of an installation: with account and region behind it, it must be the name of a bucket.
const LONGEST: usize = 28;

/// The code bucket of an installation, in its home region. Nobody else's is ever written to: every call says which account
/// must own it.
pub(crate) struct CodeBucket {
    s3: Client,
    pub name: String,
    region: String,
    /// The account that must own it.
    pub owner: String,
    partition: String,
    endpoint: Option<String>,
}

impl CodeBucket {
    pub fn new(account: &Account, caller: &Caller, stack: &str) -> Result<Self> {
        check_name(stack)?;
        let region = account.home().to_owned();
        Ok(Self {
            s3: account.s3(&region),
            name: format!("{stack}-code-{}-{region}", caller.account),
            region,
            owner: caller.account.clone(),
            partition: caller.partition().to_owned(),
            endpoint: account.endpoint().map(str::to_owned),
        })
    }

    /// Whether it is an emulator's.
    pub const fn is_emulated(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Where CloudFormation reads an object.
    pub fn url(&self, key: &str) -> String {
        let Self { name, region, .. } = self;
        match &self.endpoint {
            Some(endpoint) => format!("{endpoint}/{name}/{key}"),
            None if self.partition == "aws-cn" => format!("https://{name}.s3.{region}.amazonaws.com.cn/{key}"),
            None => format!("https://{name}.s3.{region}.amazonaws.com/{key}"),
        }
    }

    /// Whether it is there, and ours.
    pub async fn exists(&self) -> Result<bool> {
        let head = self.s3.head_bucket().bucket(&self.name).expected_bucket_owner(&self.owner).send().await;
        match head.as_ref().map_err(|error| error.raw_response().map(|response| response.status().as_u16())) {
            Ok(_) => Ok(true),
            Err(Some(404)) => Ok(false),
            // Without a body there is no word from S3, only a number.
            Err(Some(403)) => bail!(
                "the bucket {} belongs to another AWS account, or you have no right to it (s3:ListBucket): ask whoever \
                 administers this account, or choose another name for the installation with --stack",
                self.name
            ),
            Err(Some(301 | 400)) => bail!(
                "the bucket {} is not in {}: say with --region which region is the installation's home",
                self.name,
                self.region
            ),
            Err(_) => {
                head.with_context(|| format!("cannot look for the bucket {}", self.name))?;
                Ok(true)
            }
        }
    }

    /// Makes it unless it is there; returns whether it was made. Encryption, no public access and TLS only are set every time:
    /// whatever stopped the last deployment, or whoever changed them since, they are so now.
    pub async fn ensure(&self) -> Result<bool> {
        let made = !self.exists().await?;
        if made {
            self.create().await?;
        }
        let name = &self.name;
        self.protect().await.with_context(|| format!("cannot protect the bucket {name}"))?;
        Ok(made)
    }

    async fn create(&self) -> Result<()> {
        let name = &self.name;
        let mut create = self.s3.create_bucket().bucket(name);
        // S3 refuses to be told of its first region.
        if self.region != "us-east-1" {
            let place = BucketLocationConstraint::from(self.region.as_str());
            create = create
                .create_bucket_configuration(CreateBucketConfiguration::builder().location_constraint(place).build());
        }
        match create.send().await.map_err(SdkError::into_service_error) {
            Err(error) if error.is_bucket_already_exists() => bail!(
                "the bucket {name} belongs to another AWS account, and names of buckets are the world's: choose another name \
                 for the installation with --stack"
            ),
            Err(error) if !error.is_bucket_already_owned_by_you() => {
                Err(error).with_context(|| format!("cannot make the bucket {name}"))
            }
            _ => Ok(()),
        }
    }

    async fn protect(&self) -> Result<()> {
        let (name, owner) = (&self.name, &self.owner);
        let by_default =
            ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256).build()?;
        let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(by_default).build();
        let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
        let encryption = self.s3.put_bucket_encryption().bucket(name).expected_bucket_owner(owner);
        encryption.server_side_encryption_configuration(rules).send().await?;
        let nobody = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let access = self.s3.put_public_access_block().bucket(name).expected_bucket_owner(owner);
        access.public_access_block_configuration(nobody).send().await?;
        let arn = format!("arn:{}:s3:::{name}", self.partition);
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
            "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": [arn, format!("{arn}/*")], "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }]});
        let put = self.s3.put_bucket_policy().bucket(name).expected_bucket_owner(owner).policy(policy.to_string());
        put.send().await?;
        Ok(())
    }

    /// Puts what is not there yet under a key that holds its hash; returns whether it was put.
    pub async fn put_once(&self, key: &str, body: impl FnOnce() -> Result<Vec<u8>>) -> Result<bool> {
        let (name, owner) = (&self.name, &self.owner);
        let head = self.s3.head_object().bucket(name).key(key).expected_bucket_owner(owner).send().await;
        match head.map_err(SdkError::into_service_error) {
            Ok(_) => return Ok(false),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error).with_context(|| format!("cannot look for {key} in the bucket {name}")),
        }
        self.write(key, body()?).await?;
        Ok(true)
    }

    /// The content of an object, if it is there.
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let get = self.s3.get_object().bucket(&self.name).key(key).expected_bucket_owner(&self.owner).send().await;
        match get.map_err(SdkError::into_service_error) {
            Err(error) if error.is_no_such_key() => Ok(None),
            got => {
                let cannot = || format!("cannot read {key} in the bucket {}", self.name);
                Ok(Some(got.with_context(cannot)?.body.collect().await.with_context(cannot)?.to_vec()))
            }
        }
    }

    /// Writes an object, over what is there.
    pub async fn write(&self, key: &str, body: Vec<u8>) -> Result<()> {
        let put = self.s3.put_object().bucket(&self.name).key(key).expected_bucket_owner(&self.owner).body(body.into());
        put.send().await.with_context(|| format!("cannot write {key} to the bucket {}", self.name))?;
        Ok(())
    }

    /// Removes an object; it may be gone already.
    pub async fn remove(&self, key: &str) -> Result<()> {
        let remove = self.s3.delete_object().bucket(&self.name).key(key).expected_bucket_owner(&self.owner);
        remove.send().await.with_context(|| format!("cannot remove {key} from the bucket {}", self.name))?;
        Ok(())
    }

    /// Removes the empty bucket.
    pub async fn remove_bucket(&self) -> Result<()> {
        let remove = self.s3.delete_bucket().bucket(&self.name).expected_bucket_owner(&self.owner);
        match remove.send().await {
            Err(error) if error.code() != Some("NoSuchBucket") => {
                Err(error).with_context(|| format!("cannot remove the bucket {}", self.name))
            }
            _ => Ok(()),
        }
    }
}

/// Checks the name of an installation: functions, stacks and a bucket are called after it.
fn check_name(stack: &str) -> Result<()> {
    let valid = stack.starts_with(|it: char| it.is_ascii_lowercase())
        && !stack.ends_with('-')
        && stack.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-');
    ensure!(
        valid && stack.len() <= LONGEST,
        "an installation cannot be called {stack:?}, since a bucket is called after it: a lower-case letter, then \
         lower-case letters, digits and hyphens, {LONGEST} characters at most"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use testkit::{Answer, Stub};

    use super::*;

    /// What is said where S3 answers with `head` whether the bucket is there, and refuses to make one.
    async fn refused(head: u16) -> String {
        let taken = "<Error><Code>BucketAlreadyExists</Code><Message>taken</Message></Error>";
        let stub = Stub::new(move |request| match request.body.contains("<CreateBucketConfiguration") {
            true => Answer { status: 409, body: taken.into() },
            false => Answer { status: head, body: String::new() },
        });
        let account = Account::new(stub.config()).unwrap();
        let caller = Caller { account: "111122223333".into(), arn: "arn:aws:iam::111122223333:user/ada".into() };
        let bucket = CodeBucket::new(&account, &caller, "shop").unwrap();
        bucket.ensure().await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn whoever_cannot_have_the_bucket_is_told_why_and_what_to_do() {
        let taken = refused(404).await;
        assert!(taken.contains("shop-code-111122223333-eu-west-1 belongs to another AWS account"), "{taken}");
        assert!(taken.contains("choose another name for the installation with --stack"), "{taken}");
        let forbidden = refused(403).await;
        assert!(forbidden.contains("s3:ListBucket") && forbidden.contains("--stack"), "{forbidden}");
        let elsewhere = refused(301).await;
        assert!(elsewhere.contains("is not in eu-west-1: say with --region"), "{elsewhere}");
    }

    #[test]
    fn an_installations_name_can_be_a_buckets() {
        for good in ["millrace", "m", "team-7", &"m".repeat(LONGEST)] {
            assert!(check_name(good).is_ok(), "{good}");
            let bucket = format!("{good}-code-123456789012-ap-southeast-10");
            assert!(bucket.len() <= 63, "{bucket}");
        }
        for bad in ["", "Millrace", "1st", "a_b", "a-", "-a", "a.b", &"m".repeat(LONGEST + 1)] {
            assert!(check_name(bad).unwrap_err().to_string().contains("lower-case letters"), "{bad}");
        }
    }
}
