//! Bare repositories in a folder, and what Git says of them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Longest name of an owner or a repository. Source: GitHub limits a repository's to as many characters.
const NAME: usize = 100;
/// Most bytes that are read of what Git says. Source: GitHub documentation, 'Webhook events and payloads': payloads have 25 MB
/// at most.
const SAID: u64 = 25 << 20;
/// Most commits of a push that are listed. Source: the same page, `push`.
pub(crate) const COMMITS: usize = 2048;
/// What a commit is asked for, with NUL between the fields: Git has none in any of them.
const FORMAT: &str = "--format=tformat:%H%x00%T%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";
const FIELDS: usize = 9;

/// Owner and name of a repository, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) owner: String,
    pub(crate) name: String,
}

impl Name {
    /// None for what is not the name of a repository, or could lead out of the folder.
    pub(crate) fn new(owner: &str, name: &str) -> Option<Self> {
        let allowed = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        let is_name = |it: &str| !it.is_empty() && it.len() <= NAME && !it.starts_with('.') && it.chars().all(allowed);
        let lower = |it: &str| is_name(it).then(|| it.to_ascii_lowercase());
        Some(Self { owner: lower(owner)?, name: lower(name)? })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Who made a commit, and when, in ISO 8601.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) date: String,
}

/// A commit, and the files that it changes against its first parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) tree: String,
    pub(crate) author: Person,
    pub(crate) committer: Person,
    pub(crate) message: String,
    pub(crate) added: Vec<String>,
    pub(crate) modified: Vec<String>,
    pub(crate) removed: Vec<String>,
}

/// A repository that is there.
pub(crate) struct Repository {
    pub(crate) name: Name,
    folder: PathBuf,
}

/// Git, with nothing of the user's own configuration and environment, and with no input.
#[must_use]
pub fn git() -> Command {
    let mut git = Command::new("git");
    git.env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C.UTF-8")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null());
    git
}

/// Where the repository `OWNER/NAME` is, or would be, below the folder of all repositories; none for what is not the name of one.
#[must_use]
pub fn repository_folder(root: &Path, full_name: &str) -> Option<PathBuf> {
    let (owner, name) = full_name.split_once('/')?;
    Some(folder(root, &Name::new(owner, name)?))
}

fn folder(root: &Path, name: &Name) -> PathBuf {
    root.join(&name.owner).join(format!("{}.git", name.name))
}

impl Repository {
    /// None where there is none of this name under `root`.
    pub(crate) fn find(root: &Path, name: Name) -> Option<Self> {
        let folder = folder(root, &name);
        folder.join("HEAD").is_file().then_some(Self { name, folder })
    }

    /// Creates the repository, or completes one whose creation broke off; one that is there stays as it is.
    pub(crate) fn create(root: &Path, name: Name) -> Result<Self> {
        let folder = folder(root, &name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut init = git();
        init.args(["init", "--quiet", "--bare", "--template=", "--initial-branch=main"]).arg(&folder);
        let output = init.output().context("`git` does not start: is it installed?")?;
        ensure!(output.status.success(), "git init failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(Self { name, folder })
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut git = git();
        git.env("GIT_DIR", &self.folder).args(arguments);
        git
    }

    /// What Git says; none where it ends with an error.
    fn say(&self, arguments: &[&str]) -> Result<Option<Vec<u8>>> {
        let mut git = self.git(arguments);
        let mut child = git.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.as_mut().map_err(|error| anyhow::anyhow!("`git` does not start: {error}"))?;
        let mut said = Vec::new();
        let read = child.stdout.take().context("no output")?.take(SAID + 1).read_to_end(&mut said);
        let is_too_much = said.len() as u64 > SAID;
        if is_too_much {
            child.kill().context("git cannot be ended")?;
        }
        let status = child.wait().context("git cannot be waited for")?;
        read.context("cannot read what git says")?;
        if is_too_much {
            bail!("it is more than {} MB", SAID >> 20);
        }
        Ok(status.success().then_some(said))
    }

    /// The commit to which a revision leads: the full name of a reference or the id of an object. None where it leads to none.
    pub(crate) fn resolve(&self, revision: &str) -> Result<Option<String>> {
        let wanted = format!("{revision}^{{commit}}");
        let said = self.say(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
        Ok(said.map(|id| String::from_utf8_lossy(&id).trim().to_owned()))
    }

    /// The commit of an id.
    pub(crate) fn commit(&self, id: &str) -> Result<Option<Commit>> {
        Ok(self.log(&["--max-count=1", id])?.pop())
    }

    /// The commits between two ids, oldest first; at most [`COMMITS`], the newest.
    pub(crate) fn between(&self, before: &str, after: &str) -> Result<Vec<Commit>> {
        let (most, range) = (format!("--max-count={COMMITS}"), format!("{before}..{after}"));
        self.log(&["--reverse", &most, &range])
    }

    fn log(&self, wanted: &[&str]) -> Result<Vec<Commit>> {
        let fixed = ["log", "-z", "--name-status", "--no-renames", "--diff-merges=first-parent", FORMAT];
        let said = self.say(&[&fixed[..], wanted, &["--"]].concat())?.context("git log failed")?;
        commits(&said).context("git log has another form than expected")
    }

    /// Whether one commit is among the ancestors of another.
    pub(crate) fn is_ancestor(&self, one: &str, of: &str) -> Result<bool> {
        Ok(self.say(&["merge-base", "--is-ancestor", one, of])?.is_some())
    }

    /// The files that differ between two commits, from where their histories part: the status of each, its path, and the path
    /// that it had.
    pub(crate) fn differences(&self, from: &str, to: &str) -> Result<Vec<(char, String, Option<String>)>> {
        let range = format!("{from}...{to}");
        let said = self.say(&["diff", "-z", "--name-status", "--find-renames", &range, "--"])?;
        let said = said.context("the two have no history in common")?;
        let mut parts = texts(&said);
        let mut differences = Vec::new();
        while let Some(status) = parts.next().and_then(|it| it.chars().next()) {
            let first = parts.next().context("a status without a path")?;
            let renamed = matches!(status, 'R' | 'C').then(|| parts.next()).flatten();
            differences.push(match renamed {
                Some(new) => (status, new, Some(first)),
                None => (status, first, None),
            });
        }
        Ok(differences)
    }

    /// Writes the files of a commit as a zip, in one folder of this name.
    pub(crate) fn zip(&self, commit: &str, top: &str, file: &File) -> Result<()> {
        let prefix = format!("--prefix={top}/");
        let mut git = self.git(&["archive", "--format=zip", &prefix, commit]);
        let status = git.stdout(file.try_clone()?).stderr(Stdio::inherit()).status();
        let status = status.context("`git` does not start: is it installed?")?;
        ensure!(status.success(), "git archive failed ({status})");
        Ok(())
    }

    /// A commit as people read it.
    pub(crate) fn shown(&self, commit: &str) -> Result<Option<String>> {
        let said = self.say(&["show", "--no-color", "--stat", "--patch", "--format=fuller", commit, "--"])?;
        Ok(said.map(|said| String::from_utf8_lossy(&said).into_owned()))
    }
}

/// What stands between NULs.
fn texts(said: &[u8]) -> impl Iterator<Item = String> {
    said.strip_suffix(&[0]).unwrap_or(said).split(|byte| *byte == 0).map(|it| String::from_utf8_lossy(it).into_owned())
}

/// The commits in a log of [`FORMAT`] with `-z --name-status`. Behind the fields of each come statuses and paths by turns, the
/// first status on a line of its own.
fn commits(said: &[u8]) -> Option<Vec<Commit>> {
    if said.is_empty() {
        return Some(Vec::new());
    }
    let parts: Vec<String> = texts(said).collect();
    let (mut rest, mut commits) = (parts.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (fields, behind) = rest.split_at_checked(FIELDS)?;
        rest = behind;
        let [id, tree, author, author_email, author_date, committer, committer_email, committer_date, message] = fields
        else {
            return None;
        };
        let person = |name: &String, email: &String, date: &String| Person {
            name: name.clone(),
            email: email.clone(),
            date: date.clone(),
        };
        let mut commit = Commit {
            id: id.clone(),
            tree: tree.clone(),
            author: person(author, author_email, author_date),
            committer: person(committer, committer_email, committer_date),
            message: message.trim_end().to_owned(),
            added: Vec::new(),
            modified: Vec::new(),
            removed: Vec::new(),
        };
        // An id is never as short as a status.
        while let [status, path, behind @ ..] = rest
            && status.trim_start().len() == 1
        {
            rest = behind;
            match status.trim_start() {
                "A" => commit.added.push(path.clone()),
                "D" => commit.removed.push(path.clone()),
                _ => commit.modified.push(path.clone()),
            }
        }
        commits.push(commit);
    }
    Some(commits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        assert_eq!(Name::new("Team", "Shop.js").unwrap().to_string(), "team/shop.js");
        let long = "a".repeat(NAME + 1);
        for bad in ["", ".", "..", ".git", "a/b", "a\\b", "a b", "a\0", "ä", "$(reboot)", "a;b", &long] {
            assert!(Name::new(bad, "x").is_none() && Name::new("x", bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_log_is_taken_apart_whatever_a_message_says() {
        let field = |id: &str, message: &str| format!("{id}\0t\0Ann\0ann@x\01\0Bob\0bob@x\02\0{message}\0");
        let (one, two) = ("a".repeat(40), "b".repeat(40));
        let said = format!("{}\nA\0x y\0M\0z\0{}", field(&one, "A\n\nD\n"), field(&two, "nothing\n"));
        let commits = commits(said.as_bytes()).unwrap();
        assert_eq!(commits.len(), 2);
        assert_eq!((commits[0].id.as_str(), commits[0].message.as_str()), (one.as_str(), "A\n\nD"));
        assert_eq!((&commits[0].added[..], &commits[0].modified[..]), (&["x y".to_owned()][..], &["z".to_owned()][..]));
        assert_eq!((commits[1].id.as_str(), commits[1].committer.name.as_str()), (two.as_str(), "Bob"));
        assert!(commits[1].added.is_empty());
        assert_eq!(super::commits(b"").unwrap(), []);
        assert!(super::commits(b"a\0b\0").is_none());
    }
}
