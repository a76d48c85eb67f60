//! Files of input artifacts, as configurations name them: `Artifact::path/in/the/zip`. They are read out of the zip where it
//! lies.

use std::collections::HashMap;

use artifacts::{Content, RemoteZip};
use driver::{Task, TaskInput};
use tokio::sync::{Mutex, SemaphorePermit};

use crate::configuration::title;
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};
use crate::input_zip::{half_of_storage, label};

/// The input artifacts that an action has looked into, by bucket and key: none is opened twice.
#[derive(Debug, Default)]
pub(crate) struct OpenArtifacts(Mutex<HashMap<(String, String), RemoteZip>>);

/// A file of an artifact, and its place in temporary storage.
pub(crate) struct UnpackedFile {
    pub(crate) content: Content,
    _place: Option<SemaphorePermit<'static>>,
}

/// The artifact and the path of a value such as `Build::template.yml`. `key` is the configuration key, for messages.
///
/// # Errors
/// A configuration error for a value of another form, or an artifact that is no input of the action.
pub(crate) fn located<'a>(
    task: &'a Task,
    key: &str,
    value: &'a str,
) -> Result<(&'a TaskInput, &'a str), ProviderError> {
    let Some((artifact, path)) =
        value.split_once("::").filter(|(artifact, path)| !artifact.is_empty() && !path.is_empty())
    else {
        return Err(ProviderError::configuration(format!(
            "{key} is {value:?}: it must name an input artifact and a file in it, as Artifact::path"
        )));
    };
    Ok((input(task, key, artifact)?, path))
}

/// An input artifact by its name.
///
/// # Errors
/// A configuration error when the action has no such input.
pub(crate) fn input<'a>(task: &'a Task, key: &str, artifact: &str) -> Result<&'a TaskInput, ProviderError> {
    task.inputs.iter().find(|input| input.artifact.name.as_str() == artifact).ok_or_else(|| {
        ProviderError::configuration(format!("{key} names {artifact:?}, which is no input artifact of {}", title(task)))
    })
}

/// The text of a file, which may have at most this many bytes.
///
/// # Errors
/// When the artifact is not what was recorded, is no zip, has no such file, or the file is too long or no text.
pub(crate) async fn text(
    context: ActionContext<'_>,
    input: &TaskInput,
    path: &str,
    longest: u64,
) -> Result<String, ProviderError> {
    let content = open(context, input).await?.read(path, longest).await?;
    String::from_utf8(content.to_vec()).map_err(|_| {
        ProviderError::failed(JOB_FAILED, format!("the file {path} of {} is not UTF-8 text", label(input)))
    })
}

/// A file that may be large, of at most this many bytes.
///
/// # Errors
/// As [`text`]; when there is no room for it.
pub(crate) async fn file(
    context: ActionContext<'_>,
    input: &TaskInput,
    path: &str,
    longest: u64,
) -> Result<UnpackedFile, ProviderError> {
    let zip = open(context, input).await?;
    let place = half_of_storage().await;
    Ok(UnpackedFile { content: zip.unpack(path, longest).await?, _place: place })
}

async fn open(context: ActionContext<'_>, input: &TaskInput) -> Result<RemoteZip, ProviderError> {
    let key = &input.artifact.key;
    let mut open = context.open_artifacts.0.lock().await;
    let place = (input.bucket.clone(), key.clone());
    if let Some(zip) = open.get(&place) {
        return Ok(zip.clone());
    }
    let store = context.artifact_store(&input.bucket).await?;
    let zip = RemoteZip::open(&store, key, &input.pin, label(input), context.zip_limits).await?;
    open.insert(place, zip.clone());
    Ok(zip)
}
