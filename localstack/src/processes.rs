//! Finding the processes in which an emulator runs Lambda functions.

use std::fs;

use anyhow::{Context, Result};

/// Processes that run the Lambda function `name` for the emulator at `endpoint`, by what their environment says.
pub(crate) fn of_function(name: &str, endpoint: &str) -> Result<Vec<i32>> {
    let listed = fs::read_dir("/proc").context("functions' processes can only be found on Linux, in /proc")?;
    let name = format!("AWS_LAMBDA_FUNCTION_NAME={name}");
    let endpoint = format!("AWS_ENDPOINT_URL={endpoint}");
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It has ended by now, or belongs to somebody else.
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        let has = |wanted: &str| environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes());
        if has(&name) && has(&endpoint) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn only_processes_of_that_function_and_emulator_are_found() {
        let start = |endpoint: &str| {
            Command::new("sleep")
                .arg("60")
                .env("AWS_LAMBDA_FUNCTION_NAME", "some-function")
                .env("AWS_ENDPOINT_URL", endpoint)
                .spawn()
                .unwrap()
        };
        let (mut wanted, mut other) = (start("http://here"), start("http://there"));
        let found = of_function("some-function", "http://here").unwrap();
        for child in [&mut wanted, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(found, [i32::try_from(wanted.id()).unwrap()]);
    }
}
