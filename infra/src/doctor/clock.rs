//! This machine's clock beside AWS's: a signature counts for some minutes only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

use super::finding::Findings;
use crate::Account;

/// Seconds that are worth a word.
const APART: u64 = 60;

/// Remembers the header `Date` of an answer.
#[derive(Clone, Debug, Default)]
struct DateHeader(Arc<Mutex<Option<String>>>);

#[dyn_dispatch_hint]
impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

pub(super) async fn look(account: &Account, findings: &mut Findings) {
    let header = DateHeader::default();
    let sts = aws_sdk_sts::Client::new(&account.sdk(account.home()));
    // Whatever it answers has a date.
    let _ = sts.get_caller_identity().customize().interceptor(header.clone()).send().await;
    let date = header.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let there = date.and_then(|date| DateTime::from_str(&date, Format::HttpDate).ok()).map(|date| date.secs());
    let here = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    match there.zip(here).map(|(there, here)| there.abs_diff(here)) {
        Some(apart) if apart > APART => findings.error(
            format!("this machine's clock and AWS's are {apart} seconds apart"),
            "set the clock: signatures are refused when it is wrong (`timedatectl set-ntp true`)",
        ),
        Some(_) => findings.ok("this machine's clock is right"),
        None => findings.warning("AWS's answer has no date: the clock could not be compared", "compare it yourself"),
    }
}
