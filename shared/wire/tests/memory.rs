//! A body of the greatest size, made to take as much memory as it can, takes a bounded amount of it. This test has a process
//! of its own, as it reads how much the process has had at most.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use aws_sdk_codepipeline::operation::get_pipeline::GetPipelineInput;
use testkit::peak_memory;
use wire::{Exception, MAX_BODY, Protocol, decode};

/// As often as `unit` fits between the two.
fn filled(begin: &[u8], unit: &[u8], end: &[u8]) -> Vec<u8> {
    let mut body = begin.to_vec();
    let count = (MAX_BODY - begin.len() - end.len()) / unit.len();
    body.extend(unit.iter().copied().cycle().take(count * unit.len()));
    body.extend(end);
    body
}

#[test]
fn no_body_takes_more_than_192_mib() {
    let json = |unit: &str| filled(br#"{"name":"a","x":["#, unit.as_bytes(), b"0]}");
    let nested = |open: &str, close: &str| json(&format!("{}0{},", open.repeat(100), close.repeat(100)));
    let cbor = |unit: &[u8]| filled(b"\xa2\x64name\x61a\x61x\x9f", unit, b"\xff");
    let bodies = [
        (Protocol::AwsJson11, json("[],")),
        (Protocol::AwsJson11, json("\"\",")),
        (Protocol::AwsJson11, nested("[", "]")),
        (Protocol::AwsJson11, nested("{\"\":", "}")),
        (Protocol::RpcV2Cbor, cbor(b"\x80")),
        (Protocol::RpcV2Cbor, cbor(&[[0x81].repeat(100), vec![0]].concat())),
        (Protocol::RpcV2Cbor, cbor(&[[0xa1, 0x60].repeat(100), vec![0]].concat())),
        (Protocol::RpcV2Cbor, cbor(b"\xc1")),
        (Protocol::RpcV2Cbor, cbor(b"\x7f\x61a\xff")),
        (Protocol::RpcV2Cbor, cbor(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff")),
        (Protocol::RpcV2Cbor, cbor(b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff")),
    ];
    let before = peak_memory();
    for (index, (protocol, body)) in bodies.into_iter().enumerate() {
        let error = decode::<GetPipelineInput>(protocol, &body).unwrap_err();
        assert_eq!(error.exception, Exception::SerializationException, "body {index}: {error}");
        let taken = (peak_memory() - before) >> 20;
        println!("body {index}: {taken} MiB");
        assert!(taken <= 192, "body {index} of {} bytes in {protocol:?} took {taken} MiB", body.len());
    }
}
