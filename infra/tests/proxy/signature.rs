//! Signature version 4, written from AWS's description of it, and not with the code that the proxy signs with.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::server::Received;

/// The key and secret that the stand-in knows.
pub const KEY: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const REGION: &str = "eu-west-1";

/// Says what is wrong with a request's signature for API Gateway, if anything is.
pub fn check(request: &Received) -> Result<(), String> {
    let authorization = request.header("authorization");
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("not signed")?;
    let part = |name: &str| {
        let found = rest.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found.ok_or(format!("no {name}"))
    };
    let (credential, names, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    let time = request.header("x-amz-date");
    let day = time.get(..8).ok_or("no date")?;
    let scope = format!("{day}/{REGION}/execute-api/aws4_request");
    if credential != format!("{KEY}/{scope}") {
        return Err(format!("the credential is {credential}"));
    }
    let of_a_body = (request.method == "POST").then_some("content-type");
    for must in ["host", "x-amz-date"].into_iter().chain(of_a_body) {
        if !names.split(';').any(|name| name == must) {
            return Err(format!("{must} is not signed"));
        }
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let mut pairs: Vec<String> = query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    for pair in pairs.iter_mut().filter(|pair| !pair.contains('=')) {
        pair.push('=');
    }
    pairs.sort();
    let mut canonical = format!("{}\n{}\n{}\n", request.method, encoded(path), pairs.join("&"));
    for name in names.split(';') {
        writeln!(canonical, "{name}:{}", request.header(name).trim()).unwrap();
    }
    write!(canonical, "\n{names}\n{}", hex::encode(Sha256::digest(&request.body))).unwrap();
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for word in [day, REGION, "execute-api", "aws4_request"] {
        key = hmac(&key, word.as_bytes());
    }
    let expected = hex::encode(hmac(&key, text.as_bytes()));
    if expected == signature { Ok(()) } else { Err(format!("the signature is {signature}, not {expected}")) }
}

/// A path with all but unreserved characters and slashes encoded.
fn encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out
}

/// HMAC-SHA256. Source: RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

#[test]
fn the_example_of_rfc_4231_comes_out() {
    let code = hex::encode(hmac(b"Jefe", b"what do ya want for nothing?"));
    assert_eq!(code, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}
