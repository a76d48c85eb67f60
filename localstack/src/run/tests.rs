//! The sample of `samples/run` on an emulator, from its file to the report.

use std::path::PathBuf;

use local::{AWAY, Emulator, Lifetime, Options};
use serde_json::{Value, json};

use super::*;

pub(super) const SAMPLE: &str = include_str!("../../samples/run/pipeline.json");

fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/run")
}

pub(super) fn sample_source() -> Source {
    Source::read(&samples().join("source")).unwrap()
}

fn wanted(file: &str, keep: bool) -> Wanted {
    Wanted {
        file: samples().join(file),
        source: samples().join("source"),
        parameters: Vec::new(),
        pipeline: None,
        yes: true,
        json: true,
        keep,
    }
}

/// Stage, action, kind and status of each action.
fn rows(report: &Value) -> Vec<[&str; 4]> {
    let actions = report["actions"].as_array().unwrap().iter();
    actions.map(|it| ["stage", "action", "kind", "status"].map(|key| it[key].as_str().unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_runs_to_its_end() {
    let options = Options { name: Some("run-ministack".into()), lifetime: Lifetime::UntilExit, ..Options::default() };
    let stack = Stack::up(Emulator::Ministack, options).await.unwrap();

    let kept = wanted("pipeline.json", true);
    let report = run(&stack, &kept, kept.read().unwrap()).await.unwrap();
    assert!(report.has_succeeded(), "{report:?}");
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(
        rows(&report),
        [
            ["Source", "Repository", "stand-in", "Succeeded"],
            ["Build", "Pages", "real", "Succeeded"],
            ["Build", "Audit", "stand-in", "Succeeded"],
            ["Release", "Approve", "real", "Succeeded"],
            ["Deploy", "Site", "real", "Succeeded"],
            ["Deploy", "Servers", "stand-in", "Succeeded"],
        ]
    );
    assert_eq!((&report["pipeline"], &report["status"]), (&json!("shop"), &json!("Succeeded")));
    assert!(report["seconds"].as_f64().unwrap() > report["actions"][1]["seconds"].as_f64().unwrap(), "{report}");
    let page = stack.s3(AWAY).get_object().bucket("shop-site").key("index.html").send().await.unwrap();
    let page = String::from_utf8(page.body.collect().await.unwrap().to_vec()).unwrap();
    assert!(page.contains(&sample_source().commit()), "the build has read the source's variable: {page}");

    let again = run(&stack, &kept, kept.read().unwrap()).await.unwrap_err().to_string();
    assert!(again.contains("there is a pipeline shop on the local stack already"), "{again}");
    stack.codepipeline().delete_pipeline().name("shop").send().await.unwrap();
}
