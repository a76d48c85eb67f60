//! Artifacts are made once, and before they are read. Source: CodePipeline user guide, 'Pipeline structure reference'
//! and 'Input and output artifacts'.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Findings, place, run_order, shown};
use crate::declaration::Declaration;
use crate::invalid::Kind;

pub(super) fn check(declaration: &Declaration, found: &mut Findings) {
    let mut made: HashMap<&str, (usize, u32)> = HashMap::new();
    for (s, a, action) in super::actions(declaration) {
        for (o, artifact) in action.output_artifacts.iter().flatten().enumerate() {
            match made.entry(&artifact.name) {
                Entry::Vacant(free) => _ = free.insert((s, run_order(action))),
                Entry::Occupied(_) => {
                    let path = format_args!("{}.outputArtifacts.{o}.member.name", place(s, a), o = o + 1);
                    let message = format!("the output artifact {} is made more than once", shown(&artifact.name));
                    found.add(Kind::InvalidActionDeclaration, path, message);
                }
            }
        }
    }
    for (s, a, action) in super::actions(declaration) {
        for (i, artifact) in action.input_artifacts.iter().flatten().enumerate() {
            // Lexicographic: an earlier stage, or the same stage and a lower run order.
            let before = made.get(artifact.name.as_str()).is_some_and(|producer| *producer < (s, run_order(action)));
            if !before {
                let path = format_args!("{}.inputArtifacts.{i}.member.name", place(s, a), i = i + 1);
                let message = format!(
                    "the input artifact {} of action {} is not an output artifact of an action before it",
                    shown(&artifact.name),
                    shown(&action.name)
                );
                found.add(Kind::InvalidActionDeclaration, path, message);
            }
        }
    }
}
