//! The schedules of deployment windows: a cron expression and a time zone. Validation reads them when a pipeline is
//! declared, the rule when it runs.

mod cron;
mod zone;

pub use cron::{Cron, InvalidCron};
pub use zone::time_zone;
