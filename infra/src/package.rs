//! From programs to zips: what CloudFormation deploys as Lambda functions.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use anyhow::{Context, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::code_bucket::CodeBucket;
use crate::hash;

/// A program that is to become a function.
pub(crate) struct Package {
    /// Where its zip is, or will be, in the code bucket. It holds the hash of the program, so that an unchanged program has an
    /// unchanged key.
    pub key: String,
    program: Vec<u8>,
}

impl Package {
    pub fn read(name: &str, program: &Path) -> Result<Self> {
        let program = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        Ok(Self { key: format!("functions/{name}/{}.zip", &hash(&program)[..16]), program })
    }

    /// Uploads it unless it is there.
    pub async fn upload(&self, bucket: &CodeBucket) -> Result<()> {
        // To an emulator it goes no further than this machine.
        let method = if bucket.is_emulated() { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        bucket.put_once(&self.key, || zipped(&self.program, method)).await.map(|_| ())
    }
}

/// How large what AWS gets of a program is, in bytes.
///
/// # Errors
/// When the program cannot be read.
pub fn package_size(program: &Path) -> Result<usize> {
    let content = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    Ok(zipped(&content, CompressionMethod::Deflated)?.len())
}

/// A Lambda package of a custom runtime: one executable called `bootstrap`. The same program gives the same bytes.
fn zipped(program: &[u8], method: CompressionMethod) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .last_modified_time(zip::DateTime::DEFAULT)
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

/// The parameter of home.yaml that takes a function's key.
#[must_use]
pub(crate) fn code_parameter(function: &str) -> String {
    let mut letters = function.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain("Code".chars()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_package_holds_an_executable_bootstrap_and_nothing_of_the_time() {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let bytes = zipped(b"program", method).unwrap();
            assert_eq!(bytes, zipped(b"program", method).unwrap());
            let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
            assert_eq!(archive.len(), 1);
            let mut file = archive.by_name("bootstrap").unwrap();
            assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
            assert_eq!(file.last_modified(), Some(zip::DateTime::DEFAULT));
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            assert_eq!(content, b"program");
        }
    }

    #[test]
    fn the_template_has_a_parameter_for_each_function() {
        assert_eq!(code_parameter("worker"), "WorkerCode");
        let home = crate::template::Template::parse(crate::template::HOME).unwrap();
        for function in crate::FUNCTIONS {
            assert!(home.parameters().contains(code_parameter(function).as_str()), "{function}");
        }
    }
}
