//! An emulator's life with the stack on it and the build host beside it, from the first `up` to its death.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use local::{AWAY, Emulator, HOME, Lifetime, Options, Stack, http};
use rustix::process::{Pid, Signal, kill_process_group};

/// What the stack said while it came up.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn options() -> Options {
    Options {
        name: Some("life-ministack".into()),
        lifetime: Lifetime::UntilExit,
        say: |line| SAID.lock().unwrap().push(line.to_owned()),
        ..Options::default()
    }
}

fn said() -> String {
    std::mem::take(&mut *SAID.lock().unwrap()).join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_comes_up_once_and_says_so_when_its_emulator_is_gone() {
    let emulator = Emulator::Ministack;
    let name = Some("life-ministack");
    assert!(Stack::attach(emulator, name).await.unwrap_err().to_string().contains("up --on ministack"));

    let stack = Stack::up(emulator, options()).await.unwrap();
    let told = said();
    assert!(
        told.contains("millrace in eu-west-1 created") && told.contains("builds run on this machine, with your rights"),
        "{told}"
    );
    assert_ne!(stack.endpoint, "http://127.0.0.1:4566", "the usual port is the user's own");
    for region in [HOME, AWAY] {
        let bucket = stack.artifacts(region).unwrap();
        stack.s3(region).head_bucket().bucket(bucket).send().await.unwrap();
    }
    assert_eq!(stack.codepipeline().list_pipelines().send().await.unwrap().pipelines().len(), 0);
    assert_eq!(stack.pids("api").unwrap().len(), 1, "the call has started one process");
    let unsigned = http::get(&stack.api_url).await.unwrap();
    assert!(unsigned.status == 403 || unsigned.status == 405, "a call without a signature: {unsigned:?}");

    let builds = stack.value("AWS_ENDPOINT_URL_CODEBUILD").unwrap();
    assert_eq!(http::get(builds).await.unwrap().status, 403, "a call of CodeBuild without a signature");

    let again = Stack::up(emulator, options()).await.unwrap();
    assert_eq!(again.env, stack.env);
    let said = said();
    assert!(said.contains("millrace in eu-west-1 unchanged") && !said.contains("starting"), "{said}");
    assert_eq!(http::get(builds).await.unwrap().status, 403, "the build host goes on");
    assert_eq!(Stack::attach(emulator, name).await.unwrap().api_url, stack.api_url);

    // Each holds what it has started.
    let mut guards = Vec::new();
    let git = stack.value("MILLRACE_GIT_URL").unwrap();
    assert_eq!(stack.git_address().unwrap(), Some(format!("{git}/OWNER/NAME.git")));
    for (name, url, status) in [("build-host", builds, 403), ("code-host", git, 404)] {
        let note = std::fs::read_to_string(stack.folder.join(format!("{name}.json"))).unwrap();
        let pid = serde_json::from_str::<serde_json::Value>(&note).unwrap()["pid"].as_i64().unwrap();
        kill_process_group(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
        let _ = self::said();
        let again = Stack::up(emulator, options()).await.unwrap();
        let said = self::said();
        let name = name.replace('-', " ");
        assert!(said.contains(&format!("the {name} has died")) && !said.contains("starting ministack"), "{said}");
        assert_eq!(again.env, stack.env);
        assert_eq!(http::get(url).await.unwrap().status, status, "at the port that functions know");
        guards.push(again);
    }

    // As if it had died, with everything that it had started. By the system call, as `kill` of procps 4.0.2 takes a
    // group's number for "everybody".
    let group = Pid::from_raw(stack.emulator_pid()).expect("a process's id");
    kill_process_group(group, Signal::KILL).unwrap();
    let began = Instant::now();
    while Stack::attach(emulator, name).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "a dead emulator is taken for a living one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!local::down(emulator, name).await.unwrap(), "nothing was left to stop");
    assert!(!stack.folder.join("env").exists());
    assert!(http::get(builds).await.is_err() && http::get(git).await.is_err(), "what ran beside it has ended");
}
