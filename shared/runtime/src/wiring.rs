//! The driver over the table, the bus and the queue of an installation.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use driver::{Dispatch, DispatchError, Driver, Message, Setup, SourceRules};
use engine::Policy;
use store::DynamoStore;

use crate::clients::Clients;
use crate::clock::SystemClock;
use crate::dispatch::EventDispatch;
use crate::secrets::{KmsSecrets, WebhookSecrets};
use crate::settings::{SettingError, Settings};

/// A driver over the table, the bus and the queue of the settings. `sources`: of the crate `providers`. Secrets are not
/// readable to it.
///
/// # Errors
/// [`SettingError`] for the table, the bus, the queue or the engine's periods.
pub fn driver(settings: &Settings, clients: &Clients, sources: SourceRules) -> Result<Driver, SettingError> {
    over(table(settings, clients)?, settings, clients, sources)
}

/// The same for a function that needs secrets: the API, which is given them and gives them to job workers, and the worker.
///
/// # Errors
/// As [`driver()`], and for the key.
pub fn driver_with_secrets(
    settings: &Settings,
    clients: &Clients,
    sources: SourceRules,
) -> Result<Driver, SettingError> {
    let store = table(settings, clients)?.with_secrets(Arc::new(KmsSecrets::new(settings, clients)?));
    over(store, settings, clients, sources)
}

fn table(settings: &Settings, clients: &Clients) -> Result<DynamoStore, SettingError> {
    Ok(DynamoStore::new(clients.dynamodb().clone(), settings.table()?))
}

fn over(
    store: DynamoStore,
    settings: &Settings,
    clients: &Clients,
    sources: SourceRules,
) -> Result<Driver, SettingError> {
    Ok(Driver::new(Setup {
        store: Arc::new(store),
        dispatch: Arc::new(EventDispatch::new(settings, clients)?),
        clock: Arc::new(SystemClock),
        policy: settings.policy()?,
        home: settings.region().to_owned(),
        sources,
    }))
}

/// The same for a function that only reads, and needs the table alone.
///
/// # Errors
/// [`SettingError::Missing`] for the table.
pub fn reading_driver(settings: &Settings, clients: &Clients, sources: SourceRules) -> Result<Driver, SettingError> {
    Ok(alone(table(settings, clients)?, settings, sources))
}

/// The same for the unsigned door for webhooks, which opens their secrets and no others, and notes what became of calls.
///
/// # Errors
/// [`SettingError::Missing`] for the table or the key.
pub fn webhook_driver(settings: &Settings, clients: &Clients, sources: SourceRules) -> Result<Driver, SettingError> {
    let secrets = WebhookSecrets::new(KmsSecrets::new(settings, clients)?);
    Ok(alone(table(settings, clients)?.with_secrets(Arc::new(secrets)), settings, sources))
}

fn alone(store: DynamoStore, settings: &Settings, sources: SourceRules) -> Driver {
    Driver::new(Setup {
        store: Arc::new(store),
        dispatch: Arc::new(NoDispatch),
        clock: Arc::new(SystemClock),
        policy: Policy::default(),
        home: settings.region().to_owned(),
        sources,
    })
}

/// Whoever changes no execution has nobody to tell.
struct NoDispatch;

#[async_trait]
impl Dispatch for NoDispatch {
    async fn dispatch(&self, messages: Vec<(Message, Duration)>) -> Result<(), DispatchError> {
        Err(DispatchError(format!("this function changes no execution, and has {} messages", messages.len())))
    }
}
