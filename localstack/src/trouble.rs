//! What to do when the machine or the emulator failed, and not the stack.

use std::path::Path;

use crate::Emulator;
use crate::build_host::BuildHost;
use crate::code_host::CodeHost;
use crate::instance::Instance;
use crate::paths::Paths;

/// Less than a running emulator needs, in bytes: it unpacks functions.
const NEEDED: u64 = 64 << 20;

/// What is wrong with this machine, with the user's own `emulator` or with what runs beside it, that may have caused
/// `error`, and what to do.
#[must_use]
pub fn trouble(emulator: Emulator, error: &str) -> Vec<String> {
    let paths = Paths::new();
    let instance = Instance::new(emulator, paths.instance(emulator.name()), true);
    let full_disk = full_disk(error, free(&instance.folder).or_else(|| free(&paths.root)));
    [full_disk, forbidden(error), dead(&instance, error), dead_beside(&instance)].into_iter().flatten().collect()
}

fn full_disk(error: &str, free: Option<u64>) -> Option<String> {
    let said = error.contains("No space left on device") || error.contains("os error 28");
    (said || free.is_some_and(|free| free < NEEDED)).then(|| {
        "The disk is full. Make room, then run `cargo run -p local -- down` and this command again: what was left \
         unfinished is made anew. `target/local` holds the emulators."
            .to_owned()
    })
}

fn forbidden(error: &str) -> Option<String> {
    error
        .contains("Permission denied")
        .then(|| "Everything is written under target/: see that it belongs to you.".to_owned())
}

fn dead(instance: &Instance, error: &str) -> Option<String> {
    // Some errors tell it themselves.
    if !instance.has_died() || error.contains(" died") {
        return None;
    }
    let name = instance.emulator.name();
    Some(format!(
        "{name} has died, and what was in it is gone. Start it anew with: cargo run -p local -- up --on {name}\n{}",
        instance.last_words()
    ))
}

/// What to do if the build host or the code host beside the user's own `emulator` has died, and the emulator has not.
#[must_use]
pub fn dead_sidecar(emulator: Emulator) -> Option<String> {
    dead_beside(&Instance::new(emulator, Paths::new().instance(emulator.name()), true))
}

/// What runs beside an emulator ends with it: then that is told.
fn dead_beside(instance: &Instance) -> Option<String> {
    if instance.has_died() {
        return None;
    }
    let death = BuildHost::of(instance).sidecar.death().or_else(|| CodeHost::of(instance).sidecar.death())?;
    Some(format!("{death}\nStart it again with: cargo run -p local -- up --on {}", instance.emulator.name()))
}

/// Bytes that may still be written to the folder's file system.
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_seen_in_the_words_and_on_the_disk() {
        assert!(full_disk("cannot write x: No space left on device (os error 28)", Some(u64::MAX)).is_some());
        assert!(full_disk("nothing has happened", Some(4096)).is_some());
        assert!(full_disk("the stack is ROLLBACK_COMPLETE", Some(u64::MAX)).is_none());
        assert!(free(Path::new("/")).is_some());
    }

    #[test]
    fn an_emulator_or_build_host_that_is_gone_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::new(Emulator::Ministack, folder.path().to_owned(), true);
        assert_eq!(dead(&instance, "connection refused"), None, "it was never there");
        std::fs::write(folder.path().join("instance.json"), r#"{"pid": 2147483647, "port": 1}"#).unwrap();
        std::fs::write(instance.log(), "out of memory").unwrap();
        let words = dead(&instance, "connection refused").unwrap();
        assert!(words.contains("up --on ministack") && words.contains("out of memory"), "{words}");
        assert_eq!(dead(&instance, "ministack died while it started"), None);

        std::fs::write(folder.path().join("build-host.json"), r#"{"pid": 2147483647, "port": 2}"#).unwrap();
        assert_eq!(dead_beside(&instance), None, "it ended with the emulator");
        std::fs::remove_file(folder.path().join("instance.json")).unwrap();
        let words = dead_beside(&instance).unwrap();
        assert!(words.contains("the build host has died") && words.contains("up --on ministack"), "{words}");
    }
}
