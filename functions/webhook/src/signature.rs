//! How GitHub signs what it delivers. Source: GitHub documentation, 'Validating webhook deliveries'.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use crate::http::Delivery;

/// Headers with the HMAC of the body under the webhook's secret, and how their values begin: of SHA-256, and of SHA-1, which
/// CodePipeline's documentation has alone and older hosts send.
const SHA_256: (&str, &str) = ("x-hub-signature-256", "sha256=");
const SHA_1: (&str, &str) = ("x-hub-signature", "sha1=");

/// Whether a delivery is signed with this secret. Where it has the stronger signature, that one counts alone. Compared in
/// constant time.
pub fn is_signed(delivery: &Delivery<'_>, secret: &str) -> bool {
    let given =
        |(name, start): (&str, &str)| delivery.header(name).and_then(|it| hex::decode(it.strip_prefix(start)?).ok());
    // With an empty secret anybody could sign.
    if secret.is_empty() {
        false
    } else if delivery.has(SHA_256.0) {
        given(SHA_256).is_some_and(|given| verifies::<Hmac<Sha256>>(secret, delivery.body, &given))
    } else {
        given(SHA_1).is_some_and(|given| verifies::<Hmac<Sha1>>(secret, delivery.body, &given))
    }
}

fn verifies<M: Mac + KeyInit>(secret: &str, body: &[u8], given: &[u8]) -> bool {
    <M as KeyInit>::new_from_slice(secret.as_bytes()).is_ok_and(|mut mac| {
        mac.update(body);
        mac.verify_slice(given).is_ok()
    })
}
