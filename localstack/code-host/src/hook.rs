//! Git's hook `post-receive`: tells the connection's webhook of a push, and whoever pushed of the answer.

use std::fs::File;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::api::Api;
use crate::connection::Connection;
use crate::delivery::{Moved, deliver};
use crate::repository::{Name, Repository};

/// The name under which Git runs this program as the hook.
pub const POST_RECEIVE: &str = "post-receive";

/// Of more tags than this in one push, GitHub delivers nothing. Source: 'Webhook events and payloads', `push`.
const TAGS: usize = 3;

const ROOT: &str = "CODE_HOST_REPOSITORIES";
const REPOSITORY: &str = "CODE_HOST_REPOSITORY";
const URL: &str = "CODE_HOST_URL";
const CONNECTION: &str = "CODE_HOST_CONNECTION";
const LOG: &str = "CODE_HOST_DELIVERIES";

/// What the hook has to know, which goes through Git in environment variables.
pub(crate) struct Told<'a> {
    pub(crate) repositories: &'a Path,
    pub(crate) name: &'a Name,
    pub(crate) url: &'a str,
    pub(crate) connection: &'a Path,
    /// The file in which deliveries are noted.
    pub(crate) log: &'a Path,
}

impl Told<'_> {
    pub(crate) fn tell(&self, git: &mut Command) {
        git.env(ROOT, self.repositories)
            .env(REPOSITORY, self.name.to_string())
            .env(URL, self.url)
            .env(CONNECTION, self.connection)
            .env(LOG, self.log);
    }
}

/// Runs the hook: reads what was pushed from `input`, and says on `output` what became of each delivery.
///
/// # Errors
/// When it was not started by the code host, or cannot say anything. Git then tells whoever pushed; the push itself stands.
pub fn post_receive(input: impl BufRead, mut output: impl Write) -> Result<()> {
    let told =
        |name: &str| std::env::var(name).with_context(|| format!("{name} is not set: this is the code host's hook"));
    let repository = told(REPOSITORY)?;
    let name = repository.split_once('/').and_then(|(owner, name)| Name::new(owner, name)).context("no repository")?;
    let found = Repository::find(Path::new(&told(ROOT)?), name);
    let url = told(URL)?;
    let api = Api { repository: &found.with_context(|| format!("there is no repository {repository}"))?, url: &url };
    let mut log = File::options().create(true).append(true).open(told(LOG)?).context("cannot note deliveries")?;
    let connection = PathBuf::from(told(CONNECTION)?);

    let lines = input.lines().collect::<Result<Vec<_>, _>>().context("cannot read what was pushed")?;
    let moved: Vec<_> = lines.iter().filter_map(|line| Moved::read(line)).collect();
    let is_told = moved.iter().filter(|it| it.is_tag()).count() <= TAGS;
    for moved in &moved {
        let said = match moved.is_tag() && !is_told {
            true => format!("it is not delivered, since more than {TAGS} tags were pushed at once"),
            false => match tell(&api, &connection, moved) {
                Ok(Some(said)) => said,
                Ok(None) => continue,
                Err(error) => format!("it could not be delivered: {error:#}"),
            },
        };
        let line = format!("{}: {said}", moved.short());
        writeln!(log, "{} {repository} {line}", jiff::Timestamp::now()).context("cannot note a delivery")?;
        writeln!(output, "{line}").context("cannot tell whoever pushed")?;
    }
    Ok(())
}

/// Delivers one reference's move, and says how that went; nothing where GitHub would not deliver it.
fn tell(api: &Api<'_>, connection: &Path, moved: &Moved) -> Result<Option<String>> {
    let delivery = uuid::Uuid::new_v4().to_string();
    let Some(payload) = moved.payload(api, &delivery)? else { return Ok(None) };
    let Some(connection) = Connection::read(connection)? else {
        return Ok(Some("it is delivered to nobody yet: run `cargo run -p local -- up`".to_owned()));
    };
    let answered = deliver(&connection, &delivery, &payload.to_string())?;
    let (status, words) = (answered.status, answered.words);
    Ok(Some(match status {
        200..300 => format!("delivered as {delivery}, answered {status} {words}"),
        _ => format!("the delivery {delivery} was refused with {status} {words}"),
    }))
}
