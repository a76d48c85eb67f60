//! Artifacts: their keys, their encryption, their copies between regions, and the zips that they usually are.
//!
//! The crate touches S3 and names KMS keys, and nothing else. It makes no client: the caller gives it an
//! [`aws_sdk_s3::Client`] for each region, with the credentials under which the action runs.
//!
//! | to do this | use |
//! |---|---|
//! | name an output artifact, the same name on every repetition of an attempt | [`artifact_key`] |
//! | write an artifact | [`Bucket::put_artifact`] |
//! | write any object, in parts when it is large | [`Bucket::put`], [`Bucket::put_unpacked`] |
//! | record an artifact that somebody else has written | [`Bucket::pin`] |
//! | read one, as a stream into temporary storage or into memory, never more than a limit | [`Bucket::download`], [`Bucket::read`] |
//! | take an object into the store without a byte passing through the function | [`Bucket::head`], then [`Bucket::copy_anew`] |
//! | deploy an artifact as it is | [`Bucket::find`], then [`Bucket::copy`] |
//! | bring an artifact to another region's store | [`replicate`] |
//! | read the files of an artifact that is a zip, even a hostile one | [`Zip`] |
//! | read single files of one without fetching the rest of it | [`RemoteZip`] |
//! | make one | [`write_zip`]; [`ZipBuilder`] in temporary storage |
//! | make one of a code host's archive | [`without_top_folder`] |
//!
//! Everything may be repeated: the same attempt writes the same key with the same content, and a copy that exists
//! already is found and not made again. An artifact is identified by its [`engine::Pin`]: whoever reads it gets that
//! object or an error. Every [`Error`] names the object that it is about and gives the reason in S3's own words.
//!
//! ```no_run
//! # async fn example(client: aws_sdk_s3::Client, pipeline: pipeline::PipelineName, output: pipeline::ArtifactName,
//! #                  region: pipeline::Region) -> Result<(), artifacts::Error> {
//! use artifacts::{artifact_key, Bucket, Encryption, Settings};
//!
//! let store = Bucket::new(client.clone(), region.clone(), "artifact-store");
//! let source = Bucket::new(client, region, "sources").head("app.zip", Some("version-id")).await?;
//! let key = artifact_key(&pipeline, &output, "attempt-id");
//! let pin = store.copy_anew(&source, &key, &Settings::encrypted(Encryption::default())).await?;
//! # Ok(()) }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bucket;
mod content;
mod copy;
mod encryption;
mod error;
mod multipart;
mod pin;
mod reading;
mod upload;
mod zips;

pub use bucket::{Bucket, Object};
pub use content::{Content, TempFile};
pub use copy::{CopyOutcome, Replica, replicate};
pub use encryption::{Encryption, Settings};
pub use error::{Error, S3Failure, chain, is_transient_code};
pub use multipart::Parts;
pub use pipeline::artifact_key;
pub use zips::{
    ContentStream, Contents, Entry, InvalidZip, RemoteZip, Unpacked, Zip, ZipBuilder, ZipLimits, without_top_folder,
    write_zip,
};
