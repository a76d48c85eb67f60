//! Where an artifact lies in its store.

use crate::names::{ArtifactName, PipelineName};
use sha2::{Digest, Sha256};

/// Characters of the pipeline's name that the key keeps. Source: CodePipeline's layout of its artifact bucket.
const PIPELINE_CHARS: usize = 20;
/// Characters of the artifact's name that the key keeps. Source: as above.
const ARTIFACT_CHARS: usize = 10;
/// Characters of the last part. AWS draws 7; see [`artifact_key`].
const UNIQUE_CHARS: usize = 16;

/// Lower-case base32, as it needs no encoding anywhere and nobody misreads it.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The key of an output artifact: `pipeline(20 characters)/artifact(10 characters)/unique`, CodePipeline's layout.
///
/// CodePipeline draws the last part at random. Here it is made from `attempt`, the id that each attempt of an action gets
/// before it starts, so that an attempt that is repeated after a crash writes the same object again. It is 16 characters
/// of base32 (80 bits) of a SHA-256 over the whole names and the attempt, not AWS's 7, because the two shortened names
/// are shared by many pipelines and executions and nobody looks whether a key is taken: with 7, two artifacts of a busy
/// pipeline would meet after some hundred thousand executions.
pub fn artifact_key(pipeline: &PipelineName, artifact: &ArtifactName, attempt: &str) -> String {
    let mut hash = Sha256::new();
    // None of the names can hold a line end, so no two triples give the same text.
    for part in [pipeline.as_str(), artifact.as_str(), attempt] {
        hash.update(part.as_bytes());
        hash.update(b"\n");
    }
    let unique: String =
        hash.finalize().iter().take(UNIQUE_CHARS).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    let folder: String = pipeline.as_str().chars().take(PIPELINE_CHARS).collect();
    // `.` and `..` are legal names of a pipeline, but S3 refuses keys that climb out of their bucket.
    let folder = if folder == "." || folder == ".." { folder.replace('.', "_") } else { folder };
    let artifact: String = artifact.as_str().chars().take(ARTIFACT_CHARS).collect();
    format!("{folder}/{artifact}/{unique}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(pipeline: &str, artifact: &str, attempt: &str) -> String {
        artifact_key(&PipelineName::new(pipeline).unwrap(), &ArtifactName::new(artifact).unwrap(), attempt)
    }

    #[test]
    fn names_are_shortened_and_the_last_part_is_fixed_by_the_attempt() {
        let made = key("a-pipeline-with-a-long-name", "SourceArtifact", "attempt-1");
        assert!(made.starts_with("a-pipeline-with-a-lo/SourceArti/"), "{made}");
        assert_eq!(made, key("a-pipeline-with-a-long-name", "SourceArtifact", "attempt-1"));
        // Written down, because keys outlive versions of this program: an attempt may be repeated by a newer one.
        assert_eq!(key("demo", "App", "1"), "demo/App/gqrsmp6fckuujar6");
    }

    #[test]
    fn names_of_dots_do_not_climb() {
        assert!(key("..", "App", "1").starts_with("__/App/"));
        assert!(key(".", "App", "1").starts_with("_/App/"));
    }

    proptest! {
        #[test]
        fn every_key_has_the_layout(p in "[A-Za-z0-9.@_-]{1,100}", a in "[a-zA-Z0-9_-]{1,100}", attempt in ".{0,80}") {
            let made = key(&p, &a, &attempt);
            let parts: Vec<&str> = made.split('/').collect();
            prop_assert_eq!(parts.len(), 3);
            prop_assert_eq!(parts[0].chars().count(), p.len().min(20));
            prop_assert_eq!(parts[1], &a[..a.len().min(10)]);
            prop_assert_eq!(parts[2].len(), 16);
            prop_assert!(parts[2].bytes().all(|b| b.is_ascii_alphanumeric()));
            prop_assert!(parts.iter().all(|part| *part != "." && *part != ".."));
        }

        #[test]
        fn what_differs_only_behind_the_cut_differs_in_the_key(
            p in "[a-z]{20}", tails in ("[a-z]{0,9}", "[a-z]{0,9}"), a in "[a-z]{10}", attempts in ("[a-z0-9]{1,9}", "[a-z0-9]{1,9}")
        ) {
            let one = key(&format!("{p}{}", tails.0), &a, &attempts.0);
            let other = key(&format!("{p}{}", tails.1), &a, &attempts.1);
            prop_assert_eq!(one == other, tails.0 == tails.1 && attempts.0 == attempts.1);
        }
    }
}
