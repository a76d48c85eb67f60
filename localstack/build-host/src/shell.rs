//! Commands of a build as processes of this machine.
//!
//! In version 0.2 of buildspecs all commands run in the same shell: a changed folder and changed variables are there for
//! the next one. A command that says `exit` must not end the others, though, so each runs in a shell of its own, which
//! writes folder and variables down as it ends and takes them up as it begins. All variables are exported for that.
//!
//! All processes of a build are in one process group. Its leader is a shell that does nothing but wait for its standard
//! input to close, which happens when the build has ended and also when the host has died, and then kills the group.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

const LEADER: &str = "read -r _; kill -KILL 0";

#[derive(Debug)]
pub(crate) struct Shell {
    program: &'static str,
    /// Where scripts and what they write down are.
    state: PathBuf,
    /// Where commands print to.
    output: PathBuf,
    variables: BTreeMap<String, String>,
    leader: Child,
    group: Pid,
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shell {
    /// A shell that begins in `folder` with these variables beside those of the host, save the host's own AWS settings.
    pub(crate) async fn start(
        program: &'static str,
        state: &Path,
        folder: &Path,
        output: &Path,
        variables: BTreeMap<String, String>,
    ) -> io::Result<Self> {
        tokio::fs::create_dir_all(state).await?;
        tokio::fs::write(state.join("folder"), path(folder)?).await?;
        tokio::fs::write(state.join("variables"), "").await?;
        let mut leader = Command::new("sh");
        leader.arg("-c").arg(LEADER).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let leader = leader.process_group(0).spawn()?;
        let group = leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = group.ok_or_else(|| io::Error::other("the group's leader has no process id"))?;
        let (state, output) = (state.to_owned(), output.to_owned());
        Ok(Self { program, state, output, variables, leader, group })
    }

    /// Runs a command to its end. `succeeding` is what `CODEBUILD_BUILD_SUCCEEDING` says.
    pub(crate) async fn run(&self, command: &str, succeeding: bool) -> io::Result<ExitStatus> {
        let output = std::fs::File::options().create(true).append(true).open(&self.output)?;
        let errors = output.try_clone()?;
        let mut shell = self.script(command, succeeding).await?;
        shell.stdout(output).stderr(errors).spawn()?.wait().await
    }

    /// What a command prints, without the line's end; for names and values, not for the log.
    pub(crate) async fn print(&self, command: &str) -> io::Result<String> {
        let mut shell = self.script(command, true).await?;
        let printed = shell.stdout(Stdio::piped()).stderr(Stdio::null()).output().await?;
        if !printed.status.success() {
            return Err(io::Error::other(format!("{command} ended with {}", printed.status)));
        }
        Ok(String::from_utf8_lossy(&printed.stdout).trim_end_matches('\n').to_owned())
    }

    async fn script(&self, command: &str, succeeding: bool) -> io::Result<Command> {
        let file = |name: &str| path(&self.state.join(name)).map(quoted);
        let (folder, variables, text) = (file("folder")?, file("variables")?, file("command")?);
        let keep = quoted(format!(
            "CODEBUILD_LAST_EXIT=$?; export -p > {variables}; pwd > {folder}; exit $CODEBUILD_LAST_EXIT"
        ));
        let script = format!(
            "cd \"$(cat {folder})\" || exit 1\n. {variables}\nCODEBUILD_BUILD_SUCCEEDING={}\ntrap {keep} EXIT\nset -a\n\
             . {text}\n",
            u8::from(succeeding)
        );
        tokio::fs::write(self.state.join("command"), format!("{command}\n")).await?;
        tokio::fs::write(self.state.join("script"), script).await?;
        let mut shell = Command::new(self.program);
        shell.arg(self.state.join("script")).stdin(Stdio::null()).process_group(self.group.as_raw_nonzero().get());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                shell.env_remove(name);
            }
        }
        shell.envs(&self.variables);
        Ok(shell)
    }

    /// Ends every process of the build, now.
    pub(crate) fn kill(&mut self) {
        // The leader has not been waited for, so the group's id is still its own.
        if matches!(self.leader.try_wait(), Ok(None)) {
            kill_process_group(self.group, Signal::KILL).ok();
        }
    }
}

fn path(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other(format!("{} is not UTF-8", path.display())))
}

/// `text` as one word of a shell.
pub(crate) fn quoted(text: impl AsRef<str>) -> String {
    format!("'{}'", text.as_ref().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(folder: &Path, program: &'static str) -> Shell {
        let variables = BTreeMap::from([("GIVEN".to_owned(), "it's given".to_owned())]);
        Shell::start(program, &folder.join("it's state"), folder, &folder.join("output"), variables).await.unwrap()
    }

    #[tokio::test]
    async fn folder_and_variables_last_and_exit_ends_only_its_command() {
        for program in ["sh", "bash"] {
            let folder = tempfile::tempdir().unwrap();
            let shell = shell(folder.path(), program).await;
            for command in ["mkdir deep", "cd deep", "PLAIN='a b'\nexport OTHER=c", "exit 0", "LINES='x\ny'"] {
                assert!(shell.run(command, true).await.unwrap().success(), "{program}: {command}");
            }
            assert_eq!(shell.run("exit 7", true).await.unwrap().code(), Some(7));
            let printed = shell.print("echo \"$PLAIN $OTHER $GIVEN $(basename \"$PWD\") $LINES\"").await.unwrap();
            assert_eq!(printed, "a b c it's given deep x\ny", "{program}");
            shell.run("echo $CODEBUILD_BUILD_SUCCEEDING; echo error >&2", false).await.unwrap();
            assert_eq!(std::fs::read_to_string(folder.path().join("output")).unwrap(), "0\nerror\n");
        }
    }

    #[tokio::test]
    async fn the_group_ends_with_its_shell() {
        let folder = tempfile::tempdir().unwrap();
        let shell = shell(folder.path(), "sh").await;
        shell.run("sleep 600 & echo $! > pid", true).await.unwrap();
        let pid: i32 = std::fs::read_to_string(folder.path().join("pid")).unwrap().trim().parse().unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_ok());
        drop(shell);
        let ended = async {
            while rustix::process::test_kill_process(pid).is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), ended).await.unwrap();
    }
}
