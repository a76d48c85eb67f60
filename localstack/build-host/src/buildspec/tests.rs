use super::*;

const FULL: &str = r#"
version: 0.2
run-as: root
env:
  shell: bash
  variables: {PORT: 80, DEBUG: true, NAME: "x"}
  parameter-store: {LEVEL: /app/level}
  secrets-manager: {TOKEN: "app:token:AWSCURRENT"}
  exported-variables: [NAME]
  git-credential-helper: yes
proxy: {upload-artifacts: no, logs: no}
batch: {fast-fail: true}
phases:
  install:
    runtime-versions: {nodejs: 22}
  pre_build:
    on-failure: CONTINUE
    commands: [true, "make deps"]
    finally: ["echo done"]
  build:
    on-failure: ABORT
    commands:
      - |
        if true; then
          make
        fi
  post_build:
    commands: [ls]
reports: {tests: {files: ["**/*"]}}
artifacts:
  files: ["**/*"]
  name: app-$(date +%Y)
  discard-paths: yes
  base-directory: out
  exclude-paths: "**/*.tmp"
  secondary-artifacts:
    docs: {files: [docs/*], discard-paths: no, name: docs}
cache: {paths: ["/root/.m2/**/*"]}
"#;

fn error(text: &str) -> String {
    let error = Buildspec::parse(text).unwrap_err();
    assert_eq!(error.code, "YAML_FILE_ERROR");
    error.message
}

#[test]
fn every_key_of_the_reference_is_read() {
    let spec = Buildspec::parse(FULL).unwrap();
    assert_eq!(spec.env.shell, Shell::Bash);
    assert_eq!((spec.env.variables["PORT"].0.as_str(), spec.env.variables["DEBUG"].0.as_str()), ("80", "true"));
    let before = spec.phases.pre_build.as_ref().unwrap();
    assert_eq!((before.on_failure, before.commands.len()), (Some(OnFailure::Continue), 2));
    assert_eq!(before.commands[0].0, "true");
    assert!(spec.phases.build.as_ref().unwrap().commands[0].0.starts_with("if true; then\n  make"));
    let artifacts = spec.artifacts.as_ref().unwrap();
    assert!(artifacts.discard_paths.0 && !artifacts.secondary_artifacts["docs"].discard_paths.0);
    assert_eq!(artifacts.exclude_paths, [Text("**/*.tmp".to_owned())]);
    assert_eq!(artifacts.primary().base_directory, Some(Text("out".to_owned())));
    assert_eq!(spec.not_done().len(), 7);
}

#[test]
fn json_is_yaml() {
    let spec = r#"{"version":"0.2","phases":{"build":{"commands":["make"]}}}"#;
    assert!(is_inline(spec));
    assert_eq!(Buildspec::parse(spec).unwrap().phases.build.unwrap().commands, [Text("make".to_owned())]);
}

#[test]
fn what_is_wrong_is_named() {
    assert!(error("version: 0.2\nphases:\n  biuld: {commands: [ls]}\n").contains("biuld"));
    assert!(error("version: 0.2\nphases: {build: {commands: [ls]}}\nartefacts: {}\n").contains("artefacts"));
    assert!(error("version: 0.1\nphases: {build: {commands: [ls]}}\n").contains("version is 0.1"));
    assert!(error("phases: {build: {commands: [ls]}}\n").contains("version"));
    assert!(error("version: 0.2\n").contains("phases"));
    assert!(error("version: 0.2\nphases: {}\n").contains("names no phase"));
    assert!(error("version: 0.2\nphases: {build: {commands: []}}\n").contains("no phase has commands"));
    assert!(error("version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b\n").contains("subkeys"));
    assert!(error("version: 0.2\nphases: {build: {commands: [ls], on-failure: RETRY}}\n").contains("RETRY"));
    assert!(error("version: 0.2\n\tphases: {}").contains("line 2"));
    let twice = "version: 0.2\nenv: {variables: {A: 1}, parameter-store: {A: b}}\nphases: {build: {commands: [ls]}}\n";
    assert!(error(twice).contains("A twice"));
}

#[test]
fn a_path_is_not_a_document() {
    assert!(!is_inline("ci/buildspec.yml") && !is_inline("arn:aws:s3:::bucket/buildspec.yml"));
    assert!(is_inline("version: 0.2\nphases: {}"));
}

#[test]
fn a_list_of_one_may_be_written_without_the_list() {
    let spec = "version: 0.2\nphases: {build: {commands: make, finally: ls}}\nartifacts: {files: '**/*', secondary-artifacts: {docs: {files: docs/*}}}";
    let spec = Buildspec::parse(spec).unwrap();
    let build = spec.phases.build.unwrap();
    assert_eq!((build.commands, build.finally), (vec![Text("make".into())], vec![Text("ls".into())]));
    let artifacts = spec.artifacts.unwrap();
    assert_eq!(artifacts.files, [Text("**/*".into())]);
    assert_eq!(artifacts.secondary_artifacts["docs"].files, [Text("docs/*".into())]);
}
