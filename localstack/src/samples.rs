//! The samples: pipelines in folders of `samples/`, each with its sources, that `demo NAME` runs as `run` runs anybody's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use millrace::output::report;

use crate::run::Wanted;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
/// Where apps of the CDK are synthesised.
const SYNTHESISED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/local/samples");

/// A folder with a definition, the content of its sources, and a page about it.
#[derive(Debug)]
pub struct Sample {
    /// That of the folder.
    pub name: String,
    /// What it shows: the first line of its page.
    pub shows: String,
    folder: PathBuf,
}

/// Every sample, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn all() -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for entry in fs::read_dir(FOLDER).with_context(|| format!("cannot read {FOLDER}"))? {
        let folder = entry?.path();
        // Other folders are parts of the demo.
        let Ok(page) = fs::read_to_string(folder.join("README.md")) else { continue };
        let name = folder.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        samples.push(Sample { name, shows: page.lines().next().unwrap_or_default().to_owned(), folder });
    }
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(samples)
}

/// A line for each sample.
#[must_use]
pub fn list(samples: &[Sample]) -> String {
    let lines: Vec<_> = samples.iter().map(|it| format!("{:<16}{}", it.name, it.shows)).collect();
    lines.join("\n")
}

/// The sample of this name.
///
/// # Errors
/// When there is none; the message names those that there are.
pub fn find(name: &str) -> Result<Sample> {
    let mut samples = all()?;
    let Some(index) = samples.iter().position(|it| it.name == name) else {
        bail!("there is no sample {name}; there are:\n{}", list(&samples));
    };
    Ok(samples.swap_remove(index))
}

impl Sample {
    /// What `run` is asked for.
    ///
    /// # Errors
    /// When an app of the CDK cannot be synthesised.
    pub fn wanted(&self, yes: bool) -> Result<Wanted> {
        let source = self.folder.join("source");
        let definition = ["pipeline.yaml", "pipeline.json"].map(|file| self.folder.join(file));
        let file = match definition.into_iter().find(|it| it.is_file()) {
            Some(file) => file,
            None => synthesised(&self.name, &source)?,
        };
        let job_worker = Some(self.folder.join("job_worker.py")).filter(|it| it.is_file());
        Ok(Wanted { job_worker, yes, ..Wanted::new(file, source) })
    }
}

/// The output folder of an app of the CDK. Packages are installed once, beside a copy of the app: its own folder stays clean.
fn synthesised(name: &str, app: &Path) -> Result<PathBuf> {
    let copy = Path::new(SYNTHESISED).join(name);
    let lock = fs::read(app.join("package-lock.json")).context("an app without package-lock.json")?;
    let installed = copy.join("node_modules");
    let marker = installed.join(".installed");
    copy_folder(app, &copy)?;
    if !fs::read(&marker).is_ok_and(|it| it == lock) {
        report("installing the CDK from npm");
        npm(&copy, &["ci", "--prefer-offline", "--no-audit", "--no-fund"])?;
        fs::write(&marker, lock)?;
    }
    report("synthesising the app");
    npm(&copy, &["run", "synth"])?;
    Ok(copy.join("cdk.out"))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("npm").args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output =
        output.context("`npm` does not start: this sample needs Node.js with npm (Debian: apt-get install npm)")?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "npm {}: {}\n{said}", arguments.join(" "), output.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_says_what_it_shows_and_is_in_the_readme() {
        let samples = all().unwrap();
        let names: Vec<_> = samples.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["beanstalk", "blue-green", "cdk", "cloudformation", "ecs", "git", "jenkins", "stack-sets"]);
        let readme = include_str!("../../README.md");
        for sample in &samples {
            let row = format!("| [{0}](localstack/samples/{0}) | {1} |", sample.name, sample.shows);
            assert!(readme.contains(&row), "README.md has no row {row}");
        }
        assert!(list(&samples).contains("\necs             A repository at CodeCommit"), "{}", list(&samples));
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let error = find("esc").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no sample esc; there are:\nbeanstalk ") && error.contains("\necs "),
            "{error}"
        );
    }
}
