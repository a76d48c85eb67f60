//! `millrace audit`: who called what, what changed, and whether the log of it is as it was written.

use std::collections::HashSet;
use std::str::FromStr;

use anyhow::{Context, Result};
use audit::{Bucket, Checker, Fault, Filter, Tip, exact, lines};
use clap::Args;
use futures::StreamExt;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use store::{DynamoStore, Key, Store};

use crate::output::report;
use crate::{Account, Installation};

/// What happens is recorded within seconds. What is recorded later than this is not looked for where `--until` is given.
const LATE: SignedDuration = SignedDuration::from_hours(1);
/// How much the clocks of functions may differ.
const CLOCKS: SignedDuration = SignedDuration::from_mins(1);

/// What of the audit log is wanted.
#[derive(Args, Clone, Debug, Default)]
pub struct Arguments {
    /// Only what is about this pipeline.
    #[arg(long)]
    pipeline: Option<String>,
    /// Only what this caller did: a part of an ARN, such as user/ada, or of a function's name.
    #[arg(long, value_name = "PERSON")]
    by: Option<String>,
    /// Only from this time on: 2026-11-26, 2026-11-26T15:48 (UTC), with seconds or an offset, or 90m, 12h, 7d ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only up to this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Print each line as it is in the log.
    #[arg(long)]
    json: bool,
    /// Check the whole log, and print what was changed, is missing or was moved.
    #[arg(long, conflicts_with_all = ["pipeline", "by", "since", "until", "json"])]
    verify: bool,
    /// Check the log from here on only: what an earlier check has printed.
    #[arg(long, requires = "verify", value_name = "CHECKPOINT")]
    from: Option<Checkpoint>,
    /// Read this bucket, which has a copy of the log, instead of the installation's own.
    #[arg(long)]
    bucket: Option<String>,
}

/// A line whose hash somebody noted: `OBJECT:LINE:HASH`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checkpoint(Tip);

impl FromStr for Checkpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no checkpoint: it must be what `millrace audit --verify` has printed");
        let [object, line, hash] = text.split(':').collect::<Vec<_>>()[..] else { return Err(wrong()) };
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(wrong);
        if hash.len() != 64 || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        Ok(Self(Tip { object: number(object)?, line: number(line)?, hash: hash.to_ascii_lowercase() }))
    }
}

/// A time as people write it; without an offset it is in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let ago = SignedDuration::from_secs(number.parse::<u32>().ok().map(i64::from)? * seconds);
        Timestamp::now().checked_sub(ago).ok()
    };
    let in_utc = |time: DateTime| TimeZone::UTC.to_timestamp(time).ok();
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| in_utc(text.parse::<DateTime>().ok()?))
        .or_else(|| in_utc(text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight())))
        .or_else(ago)
        .ok_or_else(|| "it must be like 2026-11-26, 2026-11-26T15:48, 2026-11-26T15:48:05Z or 12h (ago)".to_owned())
}

fn text(time: Timestamp) -> String {
    exact(time.as_millisecond())
}

/// The log of an installation.
#[derive(Debug)]
pub struct AuditLog {
    bucket: Bucket,
    bucket_name: String,
    /// What the table knew as the last line before anything was read.
    tip: Option<Tip>,
}

impl AuditLog {
    /// Finds the log of the installation whose home stack is `stack`, or a copy of it.
    ///
    /// # Errors
    /// When there is no such installation, or its table does not answer.
    pub async fn of(account: &Account, stack: &str, arguments: &Arguments) -> Result<Self> {
        let installation = Installation::find(account, stack).await?;
        let config = account.sdk(account.home());
        let table = aws_sdk_dynamodb::Client::new(&config);
        let store: &dyn Store = &DynamoStore::new(table, installation.output("TableName")?);
        let tip = store.get::<Tip>(Key::AuditTip).await.context("cannot read the last line's hash from the table")?;
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(account.endpoint().is_some());
        let bucket_name = match &arguments.bucket {
            Some(copy) => copy.clone(),
            None => installation.output("AuditBucket")?.to_owned(),
        };
        let bucket = Bucket::new(aws_sdk_s3::Client::from_conf(s3.build()), &bucket_name);
        Ok(Self { bucket, bucket_name, tip: tip.map(|found| found.entity) })
    }

    /// Does what the arguments say, a line of output at a time; returns whether all that was read is as it was written.
    ///
    /// # Errors
    /// When the log cannot be read, or `print` fails.
    pub async fn run(&self, arguments: &Arguments, print: &mut (dyn FnMut(&str) -> Result<()> + Send)) -> Result<bool> {
        if arguments.verify {
            self.verify(arguments.from.as_ref(), print).await
        } else {
            self.search(arguments, print).await
        }
    }

    async fn verify(
        &self,
        from: Option<&Checkpoint>,
        print: &mut (dyn FnMut(&str) -> Result<()> + Send),
    ) -> Result<bool> {
        let mut checker = match from {
            Some(Checkpoint(tip)) => Checker::part(tip.object).noted(tip.clone()),
            None => Checker::whole(),
        };
        if let Some(tip) = &self.tip {
            checker = checker.noted(tip.clone());
        }
        let objects = self.bucket.list(from.map_or(1, |from| from.0.object)).await?;
        let mut contents = std::pin::pin!(self.bucket.contents(objects));
        while let Some(read) = contents.next().await {
            let (listed, content) = read?;
            if listed.overwritten {
                checker.overwritten(listed.object);
            }
            checker.object(listed.object, &content);
        }
        let (objects, lines) = checker.counts();
        let end = checker.tip();
        let mut faults = checker.finish();
        if self.tip.is_none() && objects > 0 {
            faults.push(Fault::NoTip);
        }
        for fault in &faults {
            print(&fault.to_string())?;
        }
        let read = format!("{lines} lines in {objects} objects of the bucket {}", self.bucket_name);
        match end {
            _ if !faults.is_empty() => {
                print(&format!("The audit log is not as it was written: {} faults in {read}", faults.len()))?;
            }
            Some(end) if end.line > 0 => {
                print(&format!("The audit log is as it was written: {read}."))?;
                print("Keep this where nobody can change it, and give it to the next check as --from:")?;
                print(&format!("{}:{}:{}", end.object, end.line, end.hash))?;
            }
            _ => print("The audit log is empty.")?,
        }
        Ok(faults.is_empty())
    }

    async fn search(&self, arguments: &Arguments, print: &mut (dyn FnMut(&str) -> Result<()> + Send)) -> Result<bool> {
        let Arguments { pipeline, by, since, until, json, .. } = arguments;
        let (pipeline, by) = (pipeline.clone(), by.clone());
        let filter = Filter { pipeline, by, since: since.map(text), until: until.map(text) };
        // An object holds nothing that happened after it was recorded.
        let first = match (since, &self.tip) {
            (Some(since), Some(tip)) => self.bucket.first_since(&text(*since - CLOCKS), tip).await?,
            _ => 1,
        };
        let last = until.map(|until| text(until + LATE));
        let objects = self.bucket.list(first).await?;
        let mut contents = std::pin::pin!(self.bucket.contents(objects));
        let mut checker = Checker::part(first);
        let mut shown = HashSet::new();
        'objects: while let Some(read) = contents.next().await {
            let (listed, content) = read?;
            checker.object(listed.object, &content);
            for (line, raw) in lines(&content).zip(content.split(|byte| *byte == b'\n')) {
                let Ok(line) = line else { continue };
                if last.as_ref().is_some_and(|last| line.recorded > *last) {
                    break 'objects;
                }
                // Deliveries may be doubled.
                if !filter.matches(&line.record) || !shown.insert(line.record.id.clone()) {
                    continue;
                }
                match json {
                    true => print(&String::from_utf8_lossy(raw))?,
                    false => print(&line.record.to_string())?,
                }
            }
        }
        let faults = checker.finish();
        for fault in &faults {
            report(&format!("warning: {fault}"));
        }
        if !faults.is_empty() {
            report("warning: the audit log is not as it was written; `millrace audit --verify` checks all of it");
        }
        Ok(faults.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let noon: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        for same in ["2026-11-26T12:00", "2026-11-26T12:00:00Z", "2026-11-26T13:00:00+01:00", "2026-11-26 12:00:00"] {
            assert_eq!(time(same), Ok(noon), "{same}");
        }
        assert_eq!(time("2026-11-26").unwrap().to_string(), "2026-11-26T00:00:00Z");
        let hours = Timestamp::now() - SignedDuration::from_hours(12);
        let read = time("12h").unwrap();
        assert!(read >= hours && read < hours + SignedDuration::from_secs(5), "{read}");
        for wrong in ["", "h", "yesterday", "12", "12w", "é", "-3d"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_checkpoint_is_what_was_printed() {
        let hash = "aB".repeat(32);
        let Checkpoint(tip) = format!("7:40:{hash}").parse().unwrap();
        assert_eq!(tip, Tip { object: 7, line: 40, hash: hash.to_lowercase() });
        for wrong in ["", "7:40", "0:40:ab", "7:x:ab", "7:40:ab"] {
            assert!(wrong.parse::<Checkpoint>().unwrap_err().contains("--verify"), "{wrong}");
        }
        assert!(format!("7:0:{hash}").parse::<Checkpoint>().is_err());
    }
}
