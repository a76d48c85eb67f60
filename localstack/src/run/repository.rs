//! The repositories that sources read through a connection, on the local stack's code host.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use code_host::{git, repository_folder};
use local::Stack;

/// Whether the code host has this branch.
pub(super) fn has_branch(url: &str, branch: &str) -> Result<bool> {
    let asked = git().args(["ls-remote", "--quiet", url, &format!("refs/heads/{branch}")]).output();
    let asked = asked.context("`git` does not start")?;
    Ok(asked.status.success() && !asked.stdout.is_empty())
}

/// Pushes a folder's files, as Git takes them, as the first commit of a branch.
pub(super) fn push(folder: &Path, url: &str, branch: &str) -> Result<()> {
    let scratch = tempfile::tempdir().context("cannot make a folder for git")?;
    let folder = std::path::absolute(folder)?;
    let run = |arguments: &[&str]| {
        let mut git = git();
        git.args(["-c", "user.name=local run", "-c", "user.email=local@localhost"]).args(arguments);
        git.env("GIT_DIR", scratch.path()).env("GIT_WORK_TREE", &folder).current_dir(&folder);
        done(&mut git, arguments[0])
    };
    done(git().args(["init", "--quiet", "--bare"]).arg(scratch.path()), "init")?;
    run(&["add", "--all", "."])?;
    let message = format!("The content of {}", folder.file_name().unwrap_or_default().to_string_lossy());
    run(&["commit", "--quiet", "--allow-empty", "--message", &message])?;
    run(&["push", "--quiet", url, &format!("HEAD:refs/heads/{branch}")])
}

fn done(git: &mut Command, what: &str) -> Result<()> {
    let output = git.output().context("`git` does not start")?;
    ensure!(output.status.success(), "git {what} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Where the code host of the user's own stack keeps a repository.
pub(super) fn kept(stack: &Stack, repository: &str) -> Result<PathBuf> {
    repository_folder(&stack.repositories(), repository).with_context(|| format!("{repository} is no repository"))
}
