//! Artifacts are made once, and before they are read. Source: CodePipeline user guide, 'Pipeline structure reference'
//! and 'Input and output artifacts'.

use std::collections::HashMap;

use super::{Findings, run_order, shown};
use crate::declaration::Declaration;
use crate::invalid::Kind;

pub(super) fn check(declaration: &Declaration, found: &mut Findings) {
    let mut made: HashMap<&str, (usize, u32)> = HashMap::new();
    for (s, a, action) in super::actions(declaration) {
        for (o, artifact) in action.output_artifacts.iter().flatten().enumerate() {
            if made.insert(&artifact.name, (s, run_order(action))).is_some() {
                let path = format_args!("stages[{s}].actions[{a}].outputArtifacts[{o}].name");
                let message = format!("the output artifact {} is made more than once", shown(&artifact.name));
                found.add(Kind::InvalidActionDeclaration, path, message);
            }
        }
    }
    let mut read = |reader: &str, artifact: &str, (stage, order): (usize, u32), path: String| {
        // Lexicographic: an earlier stage, or the same stage and a lower run order.
        if !made.get(artifact).is_some_and(|producer| *producer < (stage, order)) {
            let message = format!(
                "the input artifact {} of {} is not an output artifact of an action before it",
                shown(artifact),
                shown(reader)
            );
            found.add(Kind::InvalidActionDeclaration, path, message);
        }
    };
    for (s, a, action) in super::actions(declaration) {
        for (i, artifact) in action.input_artifacts.iter().flatten().enumerate() {
            let path = format!("stages[{s}].actions[{a}].inputArtifacts[{i}].name");
            read(&action.name, &artifact.name, (s, run_order(action)), path);
        }
    }
}
