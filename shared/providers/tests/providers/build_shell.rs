//! The commands of a build, run by a shell of this machine with programs that only write down how they were called.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What came of a build.
pub struct Ran {
    /// The command that failed.
    pub failed: Option<String>,
    /// How programs were called, each argument in brackets.
    pub calls: Vec<String>,
    /// What the commands printed.
    pub printed: String,
    /// The variables that the build exports.
    pub exported: BTreeMap<String, String>,
    /// The folder of the source, with what the commands made there.
    pub source: tempfile::TempDir,
}

/// The commands that StartBuild was given.
pub fn commands(sent: &Value) -> Vec<String> {
    let spec: Value = serde_json::from_str(sent["buildspecOverride"].as_str().unwrap()).unwrap();
    let commands = spec["phases"]["build"]["commands"].as_array().unwrap();
    commands.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// Runs what StartBuild was given. `files`: of the source. `programs`: scripts that programs run after they have noted
/// their call; all others that are called must be this machine's.
pub fn run(sent: &Value, files: &[(&str, &str)], programs: &[(&str, &str)]) -> Ran {
    let (source, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, text) in files {
        let path = source.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let calls = bin.path().join("calls");
    for (name, script) in programs {
        program(&bin.path().join(name), name, script, &calls);
    }
    let spec: Value = serde_json::from_str(sent["buildspecOverride"].as_str().unwrap()).unwrap();
    // In one shell, as CodeBuild runs them; a command that fails is noted and ends it.
    let mut script = String::new();
    for (number, command) in commands(sent).iter().enumerate() {
        assert!(!command.contains('\n'), "{command}");
        script.push_str(&format!("NUMBER={number}\n{command}\n[ $? = 0 ] || exit 99\n"));
    }
    script.push_str("NUMBER=\n");
    let exports: Vec<_> = spec["env"]["exported-variables"].as_array().into_iter().flatten().collect();
    let exports: Vec<_> = exports.iter().map(|it| it.as_str().unwrap()).collect();
    let trap =
        exports.iter().map(|name| format!("printf '%s' \"${{{name}-}}\" > {}/export.{name};", bin.path().display()));
    let trap = trap.collect::<String>();
    let state = bin.path().join("number");
    let script = format!("trap '{trap} echo \"$NUMBER\" > {}' EXIT\n{script}", state.display());
    let variables = sent["environmentVariablesOverride"].as_array().unwrap().iter();
    let variables = variables.map(|it| (it["name"].as_str().unwrap(), it["value"].as_str().unwrap()));
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(&script).current_dir(source.path()).envs(variables).env("PATH", path);
    let output = shell.output().unwrap();
    let number = std::fs::read_to_string(state).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    Ran {
        failed: number.trim().parse::<usize>().ok().map(|number| commands(sent)[number].clone()),
        calls: read(&calls).lines().map(str::to_owned).collect(),
        printed: String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
        exported: exports
            .iter()
            .map(|name| ((*name).to_owned(), read(&bin.path().join(format!("export.{name}")))))
            .collect(),
        source,
    }
}

fn program(path: &Path, name: &str, script: &str, calls: &Path) {
    let calls = calls.display();
    // In one write: programs of a pipe run at the same time.
    let note = format!("CALL='{name}'; for it; do CALL=\"$CALL [$it]\"; done; printf '%s\\n' \"$CALL\" >> {calls}");
    std::fs::write(path, format!("#!/bin/sh\n{note}\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
