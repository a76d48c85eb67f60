//! Virtual environments under `target/`, so that the user's own Python stays as it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{run, version_of};

/// The oldest Python on which both emulators install.
const OLDEST: (u32, u32) = (3, 10);

/// Makes `folder` a virtual environment with `pins` and, if given, the package in `local`; returns its Python.
/// Does nothing when it is there with the same content.
pub(super) fn environment(folder: &Path, pins: &[&str], local: Option<&Path>, say: fn(&str)) -> Result<PathBuf> {
    let parent = folder.parent().context("a virtual environment has a folder above it")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    // Two commands at once (a test run beside the user's own stack) must not install into one folder.
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock().context("cannot lock the virtual environment")?;

    let wanted = content(pins, local)?;
    let marker = folder.join("installed");
    let python = folder.join("bin").join("python");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    let system = system_python()?;
    say(&format!("installing {} into {}", pins.join(", "), folder.display()));
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    run(
        Command::new(&system).args(["-m", "venv"]).arg(folder),
        "make a virtual environment (Debian and Ubuntu pack that module apart: apt-get install python3-venv)",
    )?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(install.args(pins), "install the emulator from PyPI")?;
    if let Some(local) = local {
        // Building leaves files beside the source: build from a copy.
        let copy = folder.join("plug-in");
        fs::create_dir_all(&copy)?;
        for entry in fs::read_dir(local)? {
            let path = entry?.path();
            if let (true, Some(name)) = (path.is_file(), path.file_name()) {
                fs::copy(&path, copy.join(name))?;
            }
        }
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(install.arg(&copy), "install the plug-in for LocalStack")?;
    }
    fs::write(&marker, wanted).context("cannot write the marker of a finished installation")?;
    Ok(python)
}

/// What the marker of a finished installation says: the pins, and the plug-in's source.
fn content(pins: &[&str], local: Option<&Path>) -> Result<String> {
    let mut content = pins.join("\n");
    if let Some(local) = local {
        let mut files: Vec<_> = fs::read_dir(local)
            .with_context(|| format!("cannot read {}", local.display()))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        for file in files {
            content.push('\n');
            content.push_str(&fs::read_to_string(file)?);
        }
    }
    Ok(content)
}

/// The first Python on the PATH that is new enough.
fn system_python() -> Result<&'static str> {
    let script = "import sys; print(sys.version_info.major, sys.version_info.minor)";
    let mut too_old = None;
    for name in ["python3", "python"] {
        let Some(version) = version_of(name, &["-c", script]) else { continue };
        let mut numbers = version.split_whitespace().filter_map(|word| word.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) if (major, minor) >= OLDEST => return Ok(name),
            _ => too_old = Some(version),
        }
    }
    let (major, minor) = OLDEST;
    match too_old {
        Some(version) => bail!(
            "the emulators need Python {major}.{minor} or newer, and this is {}",
            version.trim().replace(' ', ".")
        ),
        None => bail!(
            "there is no Python on this machine's PATH, and the emulators are written in it. Install Python {major}.{minor} \
             or newer (Debian: apt-get install python3 python3-venv)"
        ),
    }
}
