//! What AWS charges, in USD.
//!
//! List prices for us-east-1, on demand, without free tiers, discounts and taxes, of Lambda, DynamoDB, EventBridge, SQS, KMS, SNS
//! and S3, as they were known at the end of 2025. They were written down from memory: nobody has compared them with the services'
//! price pages. Nothing asks AWS for them: when one changes, it changes here. Other regions cost more for the most part, some of
//! them half as much again.

use crate::Architecture;

/// Where the prices are from and what they leave out, for people.
pub const NOTE: &str = "List prices of us-east-1 at the end of 2025, without free tiers, written down from memory and not compared \
with AWS's price pages; other regions differ. Not among them: storage, logs, traffic, and what services charge for what they do, such \
as minutes of CodeBuild.";

/// An invocation of a function.
pub const INVOCATION: f64 = 0.20 / MILLION;
/// A unit of DynamoDB's on-demand reads.
pub const READ_UNIT: f64 = 0.125 / MILLION;
/// A unit of DynamoDB's on-demand writes.
pub const WRITE_UNIT: f64 = 0.625 / MILLION;
/// An event on a bus, of up to 64 KB.
pub const EVENT: f64 = 1.00 / MILLION;

const MILLION: f64 = 1_000_000.0;

/// A GB-second of a function.
pub const fn gb_second(architecture: Architecture) -> f64 {
    match architecture {
        Architecture::X86 => 0.000_016_666_7,
        Architecture::Arm64 => 0.000_013_333_4,
    }
}

/// What a call costs for itself, by service and operation (`sqs SendMessage`). None for what is charged by something else: the
/// units of DynamoDB, events, or what the call has a service do.
pub fn call(name: &str) -> Option<f64> {
    let (service, operation) = name.split_once(' ')?;
    match (service, operation) {
        ("sts" | "iam", _) | ("s3", "DELETE") => Some(0.0),
        ("sqs", _) => Some(0.40 / MILLION),
        ("kms", _) => Some(3.00 / MILLION),
        ("sns", "Publish") => Some(0.50 / MILLION),
        ("s3", "PUT" | "COPY" | "POST" | "LIST") => Some(5.00 / MILLION),
        ("s3", _) => Some(0.40 / MILLION),
        _ => None,
    }
}
