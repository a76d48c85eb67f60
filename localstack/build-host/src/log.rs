//! A build's log: its own lines and what its commands print, masked, and sent to CloudWatch Logs while the build runs.
//!
//! Commands print into a file, which is read behind them: so lines stand in the order in which they were printed, and no
//! process left in the background keeps the build waiting for the end of a pipe.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use artifacts::chain;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Bytes of one line; CloudWatch Logs takes 256 KiB.
const LINE: usize = 250_000;
/// Lines and bytes of one call, below the 10,000 events and 1 MiB that CloudWatch Logs takes. Each line counts 26 more.
const BATCH_LINES: usize = 1_000;
const BATCH_BYTES: usize = 700_000;
const EVENT_OVERHEAD: usize = 26;
/// Lines that wait to be sent; what is printed faster is left out, and the log says how much.
const WAITING: usize = 100_000;
/// How often the file is read, and how many times that until lines are sent.
const READ_EVERY: Duration = Duration::from_millis(250);
const SEND_EVERY: u32 = 4;

/// Where a log goes: group and stream.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub group: String,
    pub stream: String,
}

#[derive(Debug)]
pub(crate) struct Log {
    client: Client,
    /// None when the project's log is switched off.
    place: Option<Place>,
    waiting: Mutex<Waiting>,
    secrets: Mutex<Vec<String>>,
    output: tokio::sync::Mutex<Output>,
    broken: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<(i64, String)>,
    left_out: usize,
}

/// What commands print, and how far it has been read.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    read: u64,
    /// The beginning of a line whose end is not printed yet.
    begun: Vec<u8>,
}

impl Log {
    pub(crate) fn new(client: Client, place: Option<Place>, output: PathBuf) -> Self {
        Self {
            client,
            place,
            waiting: Mutex::default(),
            secrets: Mutex::default(),
            output: tokio::sync::Mutex::new(Output { path: output, read: 0, begun: Vec::new() }),
            broken: AtomicBool::new(false),
        }
    }

    /// Makes group and stream. A log that cannot be written does not keep a build from going on.
    pub(crate) async fn open(&self) {
        let Some(Place { group, stream }) = &self.place else { return };
        if let Err(error) = self.client.create_log_group().log_group_name(group).send().await
            && !error.as_service_error().is_some_and(|it| it.is_resource_already_exists_exception())
        {
            return self.give_up(&error);
        }
        if let Err(error) = self.client.create_log_stream().log_group_name(group).log_stream_name(stream).send().await
            && !error.as_service_error().is_some_and(|it| it.is_resource_already_exists_exception())
        {
            self.give_up(&error);
        }
    }

    fn give_up(&self, error: &dyn std::error::Error) {
        if !self.broken.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = chain(error), place = ?self.place, "the build goes on without a log");
        }
    }

    /// Values that must not be seen: masked in every line from now on, whole and, where they have several lines, each.
    pub(crate) fn hide(&self, secrets: impl IntoIterator<Item = String>) {
        let mut hidden = lock(&self.secrets);
        for secret in secrets {
            hidden.extend(secret.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
            hidden.push(secret);
        }
        hidden.retain(|it| !it.is_empty());
        // The longest first: one secret may contain another.
        hidden.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        hidden.dedup();
    }

    /// `text` with `***` in place of each secret. Source: CodeBuild user guide, 'Build specification reference',
    /// `env/secrets-manager`.
    pub(crate) fn masked(&self, text: &str) -> String {
        lock(&self.secrets).iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    /// A line of the host's own, in CodeBuild's form.
    pub(crate) fn say(&self, text: impl std::fmt::Display) {
        let time = jiff::Timestamp::now().strftime("%Y/%m/%d %H:%M:%S").to_string();
        self.push(&format!("[Container] {time} {text}"));
    }

    fn push(&self, line: &str) {
        let mut line = self.masked(line);
        if line.len() > LINE {
            line.truncate(line.floor_char_boundary(LINE));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let mut waiting = lock(&self.waiting);
        if waiting.lines.len() >= WAITING {
            waiting.left_out += 1;
            return;
        }
        // CloudWatch Logs takes no empty message.
        let line = if line.is_empty() { " ".to_owned() } else { line };
        waiting.lines.push_back((now, line));
    }

    /// Takes over what commands have printed. At the `end` of a command an unfinished line is one, too.
    pub(crate) async fn read(&self, end: bool) {
        let mut output = self.output.lock().await;
        let Ok(mut file) = tokio::fs::File::open(&output.path).await else { return };
        if file.seek(std::io::SeekFrom::Start(output.read)).await.is_err() {
            return;
        }
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read) = file.read(&mut buffer).await
            && read > 0
        {
            output.read += read as u64;
            for piece in buffer[..read].split_inclusive(|byte| *byte == b'\n') {
                output.begun.extend_from_slice(piece);
                if piece.ends_with(b"\n") || output.begun.len() > LINE {
                    self.printed(&mut output.begun);
                }
            }
        }
        if end && !output.begun.is_empty() {
            self.printed(&mut output.begun);
        }
    }

    fn printed(&self, line: &mut Vec<u8>) {
        self.push(String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']));
        line.clear();
    }

    /// Sends the lines that are waiting, in as many calls as CloudWatch Logs needs; they are dropped where the log is off.
    pub(crate) async fn send(&self) {
        while let Some(batch) = self.batch() {
            let Some(Place { group, stream }) = &self.place else { continue };
            if self.broken.load(Ordering::Relaxed) {
                continue;
            }
            let put = self.client.put_log_events().log_group_name(group).log_stream_name(stream);
            if let Err(error) = put.set_log_events(Some(batch)).send().await {
                self.give_up(&error);
            }
        }
    }

    fn batch(&self) -> Option<Vec<InputLogEvent>> {
        let mut waiting = lock(&self.waiting);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_LINES
            && let Some((time, line)) = waiting.lines.pop_front()
        {
            bytes += line.len() + EVENT_OVERHEAD;
            if bytes > BATCH_BYTES && !batch.is_empty() {
                waiting.lines.push_front((time, line));
                break;
            }
            batch.extend(InputLogEvent::builder().timestamp(time).message(line).build().ok());
        }
        if waiting.left_out > 0
            && waiting.lines.is_empty()
            && let Some(last) = batch.last().map(InputLogEvent::timestamp)
        {
            let left_out = format!("[Container] {} lines were printed too fast and are left out", waiting.left_out);
            batch.extend(InputLogEvent::builder().timestamp(last).message(left_out).build().ok());
            waiting.left_out = 0;
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Reads and sends until the future is dropped.
    pub(crate) async fn keep_sending(&self) {
        for round in 1_u32.. {
            tokio::time::sleep(READ_EVERY).await;
            self.read(false).await;
            if round.is_multiple_of(SEND_EVERY) {
                self.send().await;
            }
        }
    }
}

/// Takes a lock whose holder cannot have left it half done: every change under it is a single one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Settings;

    fn log() -> Log {
        let config = Settings::new("x", "http://127.0.0.1:1").config();
        let config = config.to_builder().region(aws_config::Region::new("eu-west-1")).build();
        Log::new(Client::new(&config), None, PathBuf::from("none"))
    }

    #[test]
    fn secrets_are_masked_the_longest_first() {
        let log = log();
        log.hide(["abc".to_owned(), "abcdef".to_owned(), String::new(), "one\ntwo".to_owned()]);
        assert_eq!(log.masked("abcdef abc ab"), "*** *** ab");
        assert_eq!(log.masked("two one\ntwo"), "*** ***");
    }

    #[test]
    fn batches_keep_order_and_size() {
        let log = log();
        for number in 0..2_500 {
            log.push(&number.to_string());
        }
        log.push(&"x".repeat(2 * LINE));
        let batches: Vec<_> = std::iter::from_fn(|| log.batch()).collect();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 501]);
        assert_eq!(batches[1][0].message(), "1000");
        assert_eq!(batches[2][500].message().len(), LINE);
    }
}
