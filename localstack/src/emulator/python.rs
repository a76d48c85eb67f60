//! Virtual environments under `target/`, so that the user's own Python stays as it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::hash::hash;
use crate::shell::{run, version_of};

/// The oldest Python on which both emulators install.
const OLDEST: (u32, u32) = (3, 10);

const PIP_INSTALL: [&str; 5] = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];

/// Makes `folder` a virtual environment with `pins` and, if given, the package in `local`; returns its Python.
/// Does nothing when it is there with the same content.
pub(super) fn environment(folder: &Path, pins: &[&str], local: Option<&Path>, say: fn(&str)) -> Result<PathBuf> {
    let parent = folder.parent().context("a virtual environment has a folder above it")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    // Two commands at once (a test run beside the user's own stack) must not install into one folder.
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock().context("cannot lock the virtual environment")?;

    let python = folder.join("bin").join("python");
    // A marker is written when its part is done: what was broken off is made anew.
    let wanted = pins.join("\n");
    let marker = folder.join("installed");
    if !is_marked(&marker, &wanted) || !python.exists() {
        let system = system_python(version_of)?;
        say(&format!("installing {} into {}", pins.join(", "), folder.display()));
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        run(
            Command::new(system).args(["-m", "venv"]).arg(folder),
            "make a virtual environment (Debian and Ubuntu pack that module apart: apt-get install python3-venv)",
        )?;
        run(Command::new(&python).args(PIP_INSTALL).args(pins), "install the emulator from PyPI")?;
        fs::write(&marker, wanted).context("cannot mark the installation as finished")?;
    }
    if let Some(local) = local {
        plug_in(folder, &python, local)?;
    }
    Ok(python)
}

/// Installs the package in `source` into the environment, unless its files are those that were installed.
fn plug_in(folder: &Path, python: &Path, source: &Path) -> Result<()> {
    let mut files: Vec<_> = fs::read_dir(source)
        .with_context(|| format!("cannot read {}", source.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let mut content = Vec::new();
    for file in &files {
        content.extend(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    let wanted = hash(&content);
    let marker = folder.join("plugged-in");
    if is_marked(&marker, &wanted) {
        return Ok(());
    }
    // Building leaves files beside the source: build from a copy.
    let copy = folder.join("plug-in");
    fs::create_dir_all(&copy)?;
    for (file, name) in files.iter().filter_map(|file| Some((file, file.file_name()?))) {
        fs::copy(file, copy.join(name))?;
    }
    let reinstall = ["--force-reinstall", "--no-deps"];
    run(Command::new(python).args(PIP_INSTALL).args(reinstall).arg(&copy), "install the plug-in for LocalStack")?;
    fs::write(&marker, wanted).context("cannot mark the plug-in as installed")
}

fn is_marked(marker: &Path, wanted: &str) -> bool {
    fs::read_to_string(marker).is_ok_and(|installed| installed == wanted)
}

/// The first Python that is new enough. `version_of` runs a program with arguments and says what it prints.
fn system_python(version_of: impl Fn(&str, &[&str]) -> Option<String>) -> Result<&'static str> {
    let script = "import sys; print(sys.version_info.major, sys.version_info.minor)";
    let (major, minor) = OLDEST;
    let mut too_old = None;
    for name in ["python3", "python"] {
        let Some(version) = version_of(name, &["-c", script]) else { continue };
        let mut numbers = version.split_whitespace().filter_map(|word| word.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) if (major, minor) >= OLDEST => return Ok(name),
            _ => too_old = Some(version.trim().replace(' ', ".")),
        }
    }
    match too_old {
        Some(version) => bail!("the emulators need Python {major}.{minor} or newer, and this is {version}"),
        None => bail!(
            "there is no Python on this machine's PATH, and the emulators are written in it. Install Python \
             {major}.{minor} or newer (Debian: apt-get install python3 python3-venv)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_python_is_told_what_to_install() {
        let error = system_python(|_, _| None).unwrap_err().to_string();
        assert!(error.contains("no Python") && error.contains("python3-venv"), "{error}");
    }

    #[test]
    fn an_old_python_is_passed_over() {
        let versions = |name: &str, _: &[&str]| Some(if name == "python" { "3 12\n" } else { "3 8\n" }.to_owned());
        assert_eq!(system_python(versions).unwrap(), "python");
        let error = system_python(|_, _| Some("2 7\n".to_owned())).unwrap_err().to_string();
        assert!(error.contains("this is 2.7"), "{error}");
    }

    #[test]
    fn a_broken_off_installation_is_no_installation() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("installed");
        assert!(!is_marked(&marker, "a==1"));
        fs::write(&marker, "a==0").unwrap();
        assert!(!is_marked(&marker, "a==1"));
        fs::write(&marker, "a==1").unwrap();
        assert!(is_marked(&marker, "a==1"));
    }
}
