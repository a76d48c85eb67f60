//! How an object is to be stored.

use std::collections::BTreeMap;

use aws_sdk_s3::types::ObjectCannedAcl;

/// The KMS key under which an artifact is stored. There is no way to store one without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption(String);

impl Encryption {
    /// S3's own managed key: what CodePipeline takes when a store names none. It is always named, since not every
    /// S3 accepts `aws:kms` without a key.
    pub const MANAGED: &'static str = "alias/aws/s3";

    /// The store's own key, by id, key ARN or alias ARN, as in the declaration's `encryptionKey`. An empty id means
    /// [`Encryption::MANAGED`].
    pub fn key(id: impl Into<String>) -> Self {
        let id = id.into();
        if id.is_empty() { Self::default() } else { Self(id) }
    }

    /// The key as it is sent to S3.
    pub fn key_id(&self) -> &str {
        &self.0
    }
}

impl Default for Encryption {
    fn default() -> Self {
        Self(Self::MANAGED.to_owned())
    }
}

impl From<Option<&pipeline::declaration::EncryptionKey>> for Encryption {
    /// The key of a declared artifact store.
    fn from(key: Option<&pipeline::declaration::EncryptionKey>) -> Self {
        key.map_or_else(Self::default, |key| Self::key(key.id.as_str()))
    }
}

/// What S3 is told about an object that is written. Artifacts need no more than [`Settings::encrypted`].
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The key; none leaves it to the bucket's default, which is right for buckets that are not artifact stores.
    pub encryption: Option<Encryption>,
    /// `Content-Type`; without it S3 says `binary/octet-stream`. A copy without it keeps the source's.
    pub content_type: Option<String>,
    /// `Cache-Control` of the object, as S3 gives it to readers.
    pub cache_control: Option<String>,
    /// A canned ACL; without one S3 is told nothing.
    pub acl: Option<ObjectCannedAcl>,
    /// User metadata: ASCII, 2 KB in all (S3's limit). A copy adds the source's identity.
    pub metadata: BTreeMap<String, String>,
}

impl Settings {
    /// Stored under this key, nothing else said.
    pub fn encrypted(key: Encryption) -> Self {
        Self { encryption: Some(key), ..Self::default() }
    }
}

/// Sets, on any of S3's three requests that make an object, what [`Settings`] says. The three builders share these
/// methods, but no trait.
macro_rules! with_settings {
    ($request:expr, $settings:expr) => {{
        let settings: &$crate::encryption::Settings = $settings;
        let mut request = $request
            .set_content_type(settings.content_type.clone())
            .set_cache_control(settings.cache_control.clone())
            .set_acl(settings.acl.clone());
        if let Some(key) = &settings.encryption {
            request = request
                .server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::AwsKms)
                .ssekms_key_id(key.key_id());
        }
        for (name, value) in &settings.metadata {
            request = request.metadata(name, value);
        }
        request
    }};
}
pub(crate) use with_settings;

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::declaration::EncryptionKey;

    #[test]
    fn a_key_is_always_named() {
        assert_eq!(Encryption::default().key_id(), "alias/aws/s3");
        assert_eq!(Encryption::key("").key_id(), "alias/aws/s3");
        assert_eq!(Encryption::from(None).key_id(), "alias/aws/s3");
        let declared = EncryptionKey { id: "arn:aws:kms:eu-west-1:111122223333:alias/mine".into(), kind: "KMS".into() };
        assert_eq!(Encryption::from(Some(&declared)).key_id(), "arn:aws:kms:eu-west-1:111122223333:alias/mine");
    }
}
