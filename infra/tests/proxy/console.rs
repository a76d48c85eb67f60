//! The console's pages on their way, and the pages in their place.

use http::Response;

use crate::client::send;
use crate::gateway::refused;
use crate::server::Reply;
use crate::world::World;

fn page() -> Reply {
    let answer = Response::builder().header("content-type", "text/html; charset=utf-8").header("etag", "\"1\"");
    let answer = answer.header("content-security-policy", "default-src 'none'").header("set-cookie", "no");
    answer.body(b"<h1>Pipelines</h1>".to_vec()).unwrap()
}

#[tokio::test]
async fn pages_are_read_signed_with_their_query_and_their_version() {
    let world = World::new(|_| page()).await;
    let root = send(world.port, "GET /", &[], b"").await;
    assert_eq!((root.status, root.header("location")), (302, "/console"));
    assert_eq!(send(world.port, "GET /favicon.ico", &[], b"").await.status, 204, "asked of the proxy alone");
    let known =
        [("if-none-match", "\"0\""), ("x-millrace-live", "1"), ("authorization", "the client's"), ("cookie", "x")];
    let answer = send(world.port, "GET /console/pipelines/a?stage=B%20C&x=%3C", &known, b"").await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"1\""));
    assert_eq!((answer.header("content-security-policy"), answer.header("set-cookie")), ("default-src 'none'", ""));
    let [received] = &world.gateway.received()[..] else { panic!("one request") };
    assert_eq!(received.path, "/live/console/pipelines/a?stage=B%20C&x=%3C");
    let header = |name: &str| received.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(
        (header("if-none-match"), header("x-millrace-live"), header("cookie")),
        (Some("\"0\""), Some("1"), None)
    );
}

#[tokio::test]
async fn that_nothing_is_new_comes_through() {
    let world = World::new(|_| Response::builder().status(304).header("etag", "\"1\"").body(Vec::new()).unwrap()).await;
    let answer = send(world.port, "GET /console/pipelines", &[("if-none-match", "\"1\"")], b"").await;
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert!(world.log.lock().unwrap().is_empty(), "every two seconds a line");
}

#[tokio::test]
async fn who_may_not_or_no_longer_see_a_page_reads_why() {
    for (kind, words, status, shown) in [
        (
            "AccessDeniedException",
            "not authorized <b>",
            403,
            "execute-api:Invoke on arn:aws:execute-api:eu-west-1:*:*/*/GET/console/pipelines",
        ),
        ("ExpiredTokenException", "expired", 401, "aws sso login"),
    ] {
        let world = World::new(move |_| refused(403, kind, words)).await;
        let answer = send(world.port, "GET /console/pipelines?a", &[], b"").await;
        let html = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.status, status, "{html}");
        assert!(html.contains(shown) && html.contains("<h1>") && !html.contains("<b>"), "{html}");
    }
}

#[tokio::test]
async fn a_definition_that_is_typed_is_sent_signed_to_where_it_is_checked() {
    let world = World::new(|_| page()).await;
    let here = format!("http://127.0.0.1:{}", world.port);
    let own = [("origin", here.as_str()), ("sec-fetch-site", "same-origin"), ("x-millrace-console", "1")];
    let text = "{\"name\": \"größe\"".as_bytes();
    let answer = send(world.port, "POST /console/check/a?version=3", &own, text).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"<h1>Pipelines</h1>"[..]));
    let [received] = &world.gateway.received()[..] else { panic!("one request") };
    assert_eq!((received.path.as_str(), &received.body[..]), ("/live/console/check/a?version=3", text));
    assert!(received.headers.contains_key("authorization"));
    assert_eq!(
        send(world.port, "POST /console/check/a", &own[..2], text).await.status,
        403,
        "no script of the console's"
    );
    let foreign = [("origin", "http://evil.example"), ("x-millrace-console", "1")];
    assert_eq!(send(world.port, "POST /console/check/a", &foreign, text).await.status, 403);
    assert_eq!(world.gateway.received().len(), 1);
}

#[tokio::test]
async fn nothing_is_read_for_a_page_of_another_site() {
    let world = World::new(|_| page()).await;
    for header in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site"), ("host", "evil.example")] {
        let answer = send(world.port, "GET /console/pipelines", &[header], b"").await;
        assert_eq!(answer.status, 403, "{header:?}");
        assert!(String::from_utf8(answer.body).unwrap().contains("Open this page"));
    }
    assert_eq!(send(world.port, "POST /console/pipelines", &[], b"").await.status, 405);
    assert_eq!(world.gateway.received().len(), 0);
}
