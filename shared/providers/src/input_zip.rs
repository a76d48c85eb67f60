//! Input artifacts that are looked into, and zips that are made: in temporary storage, for which actions take their turn.

use artifacts::{Bucket, Zip};
use driver::TaskInput;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::context::ActionContext;
use crate::error::ProviderError;

/// Halves of a worker's temporary storage (`EphemeralStorage` in `infra/home.yaml`), which its many actions share.
static STORAGE: Semaphore = Semaphore::const_new(2);

/// An artifact of at most so many bytes takes half of it, with what is unpacked of it; a larger one takes all.
const HALF: u64 = 4 << 30;

/// A place for a zip that is made, of at most half the storage.
pub(crate) async fn half_of_storage() -> Option<SemaphorePermit<'static>> {
    // It is never closed; without a permit the storage would only be fuller.
    STORAGE.acquire().await.ok()
}

/// An input artifact that is a zip, and its place in temporary storage.
pub(crate) struct InputZip {
    pub(crate) zip: Zip,
    _place: Option<SemaphorePermit<'static>>,
}

impl InputZip {
    /// Takes the artifact out of its store when there is room for it.
    pub(crate) async fn open(
        context: ActionContext<'_>,
        store: &Bucket,
        input: &TaskInput,
    ) -> Result<Self, ProviderError> {
        let (key, pin, limits) = (&input.artifact.key, &input.pin, context.zip_limits);
        let halves = if store.find(key, pin).await?.size > HALF { 2 } else { 1 };
        // It is never closed; without a permit the storage would only be fuller.
        let place = STORAGE.acquire_many(halves).await.ok();
        let file = store.download(key, pin, limits.total_bytes).await?;
        let zip = Zip::open(file, label(input), limits).await?;
        Ok(Self { zip, _place: place })
    }
}

/// How messages call an input artifact.
pub(crate) fn label(input: &TaskInput) -> String {
    format!("the input artifact {}", input.artifact.name)
}
