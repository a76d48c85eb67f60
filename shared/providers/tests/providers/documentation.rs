//! `PROVIDERS.md` and `TRIGGERS.md` say what the descriptors, the catalogue and the list of what starts pipelines say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use pipeline::catalogue::{self, rules};
use providers::{ProviderInfo, Tried};

const HEAD: &str = "# Providers

Which action types and rules run, with what they take. A key in bold is required. A test makes this page from the providers'
descriptors and the catalogue, and fails when it differs. What is under permissions is what IAM must allow the role of an action,
each where its configuration has a use for it: `millrace role` says which, and on what.

| action type or rule | configuration | ends | tried end to end | tests | permissions | what differs from AWS |
|---|---|---|---|---|---|---|
";

fn types(info: &ProviderInfo) -> String {
    let of = |owner: &str| if owner == "AWS" { String::new() } else { format!(" ({owner})") };
    let types = info.types.iter().map(|it| format!("{}/{}{}", it.category, it.provider, of(it.owner)));
    types.collect::<Vec<_>>().join(", ")
}

/// Of all types that a provider implements, each key once.
fn keys(info: &ProviderInfo) -> String {
    let mut keys: Vec<String> = Vec::new();
    for it in info.types {
        let id = it.id();
        let of_action = catalogue::find(&id).map(|known| known.configuration);
        let known = of_action.or_else(|| rules::find(&id).map(|known| known.configuration)).unwrap();
        for key in known {
            let [plain, required] = [key.name.to_owned(), format!("**{}**", key.name)];
            if !keys.contains(&plain) && !keys.contains(&required) {
                keys.push(if key.required { required } else { plain });
            }
        }
    }
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}

fn tried(info: &ProviderInfo) -> &'static str {
    match info.documentation.tried {
        Tried::Emulators => "MiniStack, LocalStack",
        Tried::MiniStack => "MiniStack",
        Tried::BuildHost => "the build host, beside MiniStack and LocalStack",
        Tried::ProviderEmulator => "MiniStack beside fakecloud, not in CI",
        Tried::OverTheWire => "no: neither emulator has the service",
    }
}

fn tests(info: &ProviderInfo) -> String {
    let file = Path::new(info.documentation.file);
    let of_rules = file.parent().is_some_and(|folder| folder.ends_with("rules"));
    let stem = if of_rules { "rules" } else { file.file_stem().unwrap().to_str().unwrap() };
    let tests = format!("tests/providers/{stem}.rs");
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&tests).is_file(), "{tests}");
    format!("[{stem}.rs]({tests})")
}

/// By service, each once.
fn permissions(info: &ProviderInfo) -> String {
    let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for action in info.permissions.all().flat_map(|permission| permission.actions) {
        let (service, operation) = action.split_once(':').unwrap();
        services.entry(service).or_default().insert(operation);
    }
    let words = services.iter().map(|(service, operations)| {
        let operations: Vec<&str> = operations.iter().copied().collect();
        format!("{service}: {}", operations.join(", "))
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join("; ") }
}

#[test]
fn the_page_of_the_providers_is_what_their_descriptors_say() {
    let mut page = HEAD.to_owned();
    let mut all: Vec<_> = providers::all().iter().collect();
    all.sort_by_key(|info| types(info));
    for info in all {
        let cells = [
            types(info),
            keys(info),
            info.documentation.ends.to_owned(),
            tried(info).to_owned(),
            tests(info),
            permissions(info),
            info.documentation.differs.to_owned(),
        ];
        assert!(cells.iter().all(|cell| !cell.is_empty() && !cell.contains('|')), "{cells:?}");
        writeln!(page, "| {} |", cells.join(" | ")).unwrap();
    }
    is_there("PROVIDERS.md", &page);
}

const STARTS: &str = "# What starts a pipeline

A test makes this page from the providers' descriptors and the list in `src/starts.rs`, and fails when it differs. The trigger is
what `ListPipelineExecutions` says of an execution. Events are matched by what sources watch, with a query by key; what comes twice
starts nothing again; one change that several pipelines watch starts each of them once, and a pipeline of which several sources
watch it once with all of them. Events of other regions come by `infra/region.yaml`. A source whose `PollForSourceChanges` or
`DetectChanges` is `false` is started by no change of its own, but by rules, webhooks, filters of `triggers` and calls.

| what happens | what it needs | what starts | trigger | its detail | test |
|---|---|---|---|---|---|
";

#[test]
fn the_page_of_what_starts_a_pipeline_is_what_the_code_says_and_its_tests_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut page = STARTS.to_owned();
    for kind in providers::start_kinds() {
        let (file, test) = kind.test;
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(text.contains(&format!("fn {test}(")), "{file} has no {test}");
        let test = format!("[{test}](../../{file})");
        let cells = [kind.what, kind.needs, kind.starts, kind.trigger, kind.detail, &test];
        assert!(cells.iter().all(|cell| !cell.is_empty() && !cell.contains('|')), "{cells:?}");
        writeln!(page, "| {} |", cells.join(" | ")).unwrap();
    }
    is_there("TRIGGERS.md", &page);
}

/// Every source whose service sends events is in the list.
#[test]
fn every_event_of_a_source_is_in_the_page_of_what_starts_a_pipeline() {
    for events in providers::all().iter().filter_map(|provider| provider.source?.events) {
        assert!(events.starts.len() >= events.detail_types.len(), "{:?}", events.detail_types);
    }
}

fn is_there(name: &str, page: &str) {
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::fs::read_to_string(&there).unwrap_or_default() != page {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&made, page).unwrap();
        panic!("{} must be as {}", there.display(), made.display());
    }
}
