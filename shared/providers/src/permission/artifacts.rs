//! What actions need of artifact stores, and of the keys under which S3 has objects.

use runtime::arn::{partition, service_domain};

use super::{Conditions, Permission, Scope, Statement, Store, condition};

/// To read objects of any version.
pub(crate) const READ: &[&str] = &["s3:GetObject", "s3:GetObjectVersion"];
/// To write objects, at once or in parts.
pub(crate) const WRITE: &[&str] = &["s3:PutObject"];
const OPEN: &[&str] = &["kms:Decrypt"];
/// To write under a key: parts of an object are opened again when they are put together. Source: S3 user guide, 'Multipart upload and encryption'.
pub(crate) const SEAL: &[&str] = &["kms:Decrypt", "kms:GenerateDataKey"];
/// Whoever may not list is told of an object that is missing that it is forbidden. Source: S3 API, `HeadObject`.
pub(crate) const LIST: &[&str] = &["s3:ListBucket"];

/// The input artifacts are read.
pub(crate) const READ_INPUTS: &[Permission] = &[
    Permission::new(READ, inputs),
    Permission::new(LIST, store_of_inputs),
    Permission::new(OPEN, key_of_inputs).when(of_store),
];

/// The output artifacts are written.
pub(crate) const WRITE_OUTPUTS: &[Permission] =
    &[Permission::new(WRITE, outputs), Permission::new(SEAL, key_of_outputs).when(of_store)];

/// Something is put beside the input artifacts, and read there by a service with the rights of the role.
pub(crate) const WRITE_BESIDE_INPUTS: &[Permission] =
    &[Permission::new(WRITE, inputs), Permission::new(SEAL, key_of_inputs).when(of_store)];

/// Output artifacts that somebody else has stored are looked at, and copied onto themselves where S3 does not know their
/// SHA-256.
pub(crate) const PIN_OUTPUTS: &[Permission] = &[
    Permission::new(READ, outputs).of_pipeline(),
    Permission::new(LIST, store_of_outputs).of_pipeline(),
    Permission::new(WRITE, outputs).of_pipeline(),
    Permission::new(SEAL, key_of_outputs).when(of_store).of_pipeline(),
];

/// A job's worker reads with credentials of the pipeline's role, by key alone: its job names no version.
pub(crate) const JOB_INPUTS: &[Permission] = &[
    Permission::new(&["s3:GetObject"], inputs).of_pipeline(),
    Permission::new(LIST, store_of_inputs).of_pipeline(),
    Permission::new(OPEN, key_of_inputs).when(of_store).of_pipeline(),
];

fn inputs(scope: &Scope<'_>) -> Vec<String> {
    let artifacts = |store: &Store| scope.action.inputs.iter().map(|it| scope.artifact(&store.bucket, it)).collect();
    scope.store.as_ref().map(artifacts).unwrap_or_default()
}

/// Where the output artifacts lie.
pub(crate) fn outputs(scope: &Scope<'_>) -> Vec<String> {
    let artifacts = |store: &Store| scope.action.outputs.iter().map(|it| scope.artifact(&store.bucket, it)).collect();
    scope.store.as_ref().map(artifacts).unwrap_or_default()
}

fn store_of_inputs(scope: &Scope<'_>) -> Vec<String> {
    let store = scope.store.iter().filter(|_| !scope.action.inputs.is_empty());
    store.map(|store| scope.object(&store.bucket, "")).collect()
}

/// The bucket of output artifacts.
pub(crate) fn store_of_outputs(scope: &Scope<'_>) -> Vec<String> {
    let store = scope.store.iter().filter(|_| !scope.action.outputs.is_empty());
    store.map(|store| scope.object(&store.bucket, "")).collect()
}

fn key_of_inputs(scope: &Scope<'_>) -> Vec<String> {
    let store = scope.store.iter().filter(|_| !scope.action.inputs.is_empty());
    store.map(|store| key(store, scope.account)).collect()
}

fn key_of_outputs(scope: &Scope<'_>) -> Vec<String> {
    let store = scope.store.iter().filter(|_| !scope.action.outputs.is_empty());
    store.map(|store| key(store, scope.account)).collect()
}

/// The key of the action's store.
pub(crate) fn key_of_store(scope: &Scope<'_>) -> Option<String> {
    scope.store.as_ref().map(|store| key(store, scope.account))
}

/// The key of a store. An alias names none in a policy, and without any the bucket's own is taken.
fn key(store: &Store, account: &str) -> String {
    let region = &store.region;
    match store.key.as_deref() {
        Some(arn) if arn.contains(":key/") => arn.to_owned(),
        Some(id) if !id.contains("alias/") => format!("arn:{}:kms:{region}:{account}:key/{id}", partition(region)),
        _ => format!("arn:{}:kms:{region}:{account}:key/*", partition(region)),
    }
}

/// The key of the store is used by S3 alone, for what lies in the store.
pub(crate) fn of_store(scope: &Scope<'_>) -> Conditions {
    scope.store.as_ref().map(|store| within(&store.region, &store.bucket)).unwrap_or_default()
}

/// The key is used by S3 alone, for objects of this bucket. What S3 names is the bucket where it has a key of its own, and
/// otherwise the object. Source: S3 user guide, 'Using server-side encryption with AWS KMS keys', encryption context.
pub(crate) fn within(region: &str, bucket: &str) -> Conditions {
    let partition = partition(region);
    let [all, objects] = [format!("arn:{partition}:s3:::{bucket}"), format!("arn:{partition}:s3:::{bucket}/*")];
    let mut conditions =
        condition("StringEquals", "kms:ViaService", [format!("s3.{region}.{}", service_domain(region)).as_str()]);
    conditions.extend(condition("StringLike", "kms:EncryptionContext:aws:s3:arn", [all.as_str(), objects.as_str()]));
    conditions
}

/// What copying an artifact from one store to another takes, of the pipeline's role.
#[must_use]
pub fn copy(scope: &Scope<'_>, artifact: &pipeline::ArtifactName, from: &Store, to: &Store) -> Vec<Statement> {
    let source = vec![scope.artifact(&from.bucket, artifact)];
    let copy = vec![scope.artifact(&to.bucket, artifact)];
    let stores = [&from, &to].map(|store| scope.object(&store.bucket, ""));
    let none = Conditions::new;
    [
        Statement::new(READ, source.into_iter().chain(copy.clone()), none()),
        Statement::new(LIST, stores, none()),
        Statement::new(WRITE, copy, none()),
        Statement::new(OPEN, [key(from, scope.account)], within(&from.region, &from.bucket)),
        Statement::new(SEAL, [key(to, scope.account)], within(&to.region, &to.bucket)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Objects that are read in a bucket of which nobody knows the key.
pub(crate) fn any_key(scope: &Scope<'_>) -> Vec<String> {
    // A bucket of another account may have a key of that one.
    vec![format!("arn:{}:kms:{}:*:key/*", partition(scope.region), scope.region)]
}
