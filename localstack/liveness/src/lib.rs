//! Whether a process is still there. What runs beside an emulator asks this about the emulator, and ends when it has.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use rustix::process::{Pid, test_kill_process};

/// Whether there is a process with this id, and it does not just wait to be reaped.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok() && !is_zombie(pid))
}

/// Whether the process has ended and nobody has asked how, which in a container may stay so. Only Linux tells here; its
/// format: `PID (NAME) STATE ...`, where the name may have anything in it.
fn is_zombie(pid: Pid) -> bool {
    let told = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    told.is_ok_and(|told| told.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_process_that_is_gone_or_waits_to_be_reaped_is_not_alive() {
        assert!(is_alive(i32::try_from(std::process::id()).unwrap()));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(is_alive(pid));
        child.kill().unwrap();
        let began = Instant::now();
        while cfg!(target_os = "linux") && is_alive(pid) {
            assert!(began.elapsed() < Duration::from_secs(10), "a process that was killed is taken for a living one");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }
}
