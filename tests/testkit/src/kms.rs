//! KMS, as far as approval links ask it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::{Answer, Stub};

/// KMS with one HMAC key, `key-1`, and a signature of its own: a checksum in four places. What matters is that it depends
/// on every byte.
pub fn kms() -> Stub {
    Stub::new(|request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["KeyId"], "key-1");
        assert_eq!(body["MacAlgorithm"], "HMAC_SHA_256");
        let message = BASE64_STANDARD.decode(body["Message"].as_str().unwrap()).unwrap();
        let sum = message
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        let mac = BASE64_STANDARD.encode(sum.to_be_bytes().repeat(4));
        match request.operation() {
            "GenerateMac" => Answer::ok(json!({"Mac": mac, "KeyId": "key-1"}).to_string()),
            "VerifyMac" if body["Mac"] == mac => Answer::ok(json!({"MacValid": true}).to_string()),
            "VerifyMac" => Answer { status: 400, body: json!({"__type": "KMSInvalidMacException"}).to_string() },
            other => panic!("{other}"),
        }
    })
}
