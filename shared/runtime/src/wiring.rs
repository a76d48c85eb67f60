//! The driver on AWS.

use std::sync::Arc;

use driver::{Driver, Setup, SourceRules};
use store::DynamoStore;

use crate::clients::Clients;
use crate::clock::SystemClock;
use crate::dispatch::EventDispatch;
use crate::settings::{SettingError, Settings};

/// A driver over the table, the bus and the queue of the settings. `sources`: of the crate `providers`.
///
/// # Errors
/// [`SettingError::Missing`] for the table, the bus or the queue.
pub fn driver(settings: &Settings, clients: &Clients, sources: SourceRules) -> Result<Driver, SettingError> {
    Ok(Driver::new(Setup {
        store: Arc::new(DynamoStore::new(clients.dynamodb().clone(), settings.table()?)),
        dispatch: Arc::new(EventDispatch::new(settings, clients)?),
        clock: Arc::new(SystemClock),
        policy: settings.policy(),
        home: settings.region().to_owned(),
        sources,
    }))
}
