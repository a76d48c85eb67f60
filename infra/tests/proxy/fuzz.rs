//! No request ends the proxy, and none gets to the API that is not a call.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::client::{JSON, call, raw};
use crate::gateway::answered;
use crate::world::World;

/// How often anything has panicked, on whatever thread: the server survives a panic in one connection, and would hide it.
static PANICS: AtomicUsize = AtomicUsize::new(0);
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    RUNTIME.block_on(World::new(|_| answered("{}")))
});

fn paths() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/".to_owned()),
        Just("service".to_owned()),
        Just("CodePipeline_20150709".to_owned()),
        Just("operation".to_owned()),
        Just("pipelines".to_owned()),
        Just("GetPipeline".to_owned()),
        Just("..".to_owned()),
        Just("%2f".to_owned()),
        "[!-~]{0,8}",
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn headers() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("content-type".to_owned()),
        Just("x-amz-target".to_owned()),
        Just("smithy-protocol".to_owned()),
        Just("host".to_owned()),
        Just("origin".to_owned()),
        Just("content-length".to_owned()),
        Just("transfer-encoding".to_owned()),
        Just("expect".to_owned()),
        Just("upgrade".to_owned()),
        "[a-z-]{1,12}",
    ];
    let value = prop_oneof![
        Just(JSON.1.to_owned()),
        Just("CodePipeline_20150709.GetPipeline".to_owned()),
        Just("application/cbor".to_owned()),
        Just("rpc-v2-cbor".to_owned()),
        Just("chunked".to_owned()),
        Just("100-continue".to_owned()),
        "[0-9]{1,20}",
        "[ -~\u{80}-\u{ff}]{0,30}",
    ];
    prop::collection::vec((name, value), 0..6)
        .prop_map(|all| all.into_iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect())
}

proptest! {
    #[test]
    fn no_request_ends_the_proxy(
        method in "[A-Z]{1,7}|POST",
        path in paths(),
        headers in headers(),
        body in prop::collection::vec(any::<u8>(), 0..200),
        length in any::<bool>(),
    ) {
        let world = &*WORLD;
        RUNTIME.block_on(async {
            let mut bytes = format!("{method} /{path} HTTP/1.1\r\nconnection: close\r\nhost: 127.0.0.1:{}\r\n{headers}", world.port);
            if length {
                bytes += &format!("content-length: {}\r\n", body.len());
            }
            bytes += "\r\n";
            let mut bytes = bytes.into_bytes();
            bytes.extend(&body);
            // Nobody answers half a request; the client does not wait for that.
            let _ = tokio::time::timeout(Duration::from_millis(200), raw(world.port, &bytes)).await;
        });
        prop_assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn any_body_of_a_call_gets_to_the_api_as_it_is(body in "\\PC{0,100}|\\{\"name\":\"\\PC{0,20}\"\\}") {
        let world = &*WORLD;
        RUNTIME.block_on(async {
            let answer = call(world.port, "GetPipeline", &body).await;
            assert_eq!(answer.status, 200);
            let received = world.gateway.received();
            let last = received.iter().rev().find(|request| request.body == body.as_bytes());
            let path = &last.expect("it has come").path;
            assert!(path.starts_with("/live/pipelines/") || path.starts_with("/live/service/"), "{path}");
            assert!(path.ends_with("/GetPipeline") && !path.split('/').any(|piece| [".", ".."].contains(&piece)), "{path}");
        });
    }
}

/// After all that: it still serves.
#[test]
fn it_serves_on() {
    RUNTIME.block_on(async {
        assert_eq!(raw(WORLD.port, b"\0\r\n\r\n").await.map_or(400, |answer| answer.status), 400);
        assert_eq!(call(WORLD.port, "ListPipelines", "{}").await.status, 200);
    });
}
