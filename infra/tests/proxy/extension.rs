//! The layer's program, started as Lambda starts it.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use http::Response;
use millrace::extension::{NAME, URL_FILE};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::client::call;
use crate::gateway::{Gateway, answered};
use crate::server::{Received, Reply, Server};
use crate::signature::{KEY, REGION, SECRET};

/// Longer than anything takes here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stand-in for Lambda: it hands out the events that a test sends, one for each question.
struct Lambda {
    server: Server,
    /// One item for each question for the next event.
    questions: mpsc::Receiver<()>,
    events: mpsc::Sender<&'static str>,
}

impl Lambda {
    async fn new() -> Self {
        let (asked, questions) = mpsc::channel(10);
        let (events, next) = mpsc::channel::<&str>(10);
        let next = std::sync::Arc::new(tokio::sync::Mutex::new(next));
        let server = Server::start(move |received: Received| {
            let (asked, next) = (asked.clone(), next.clone());
            async move {
                let answer = Response::builder().header("lambda-extension-identifier", "id-1");
                match received.path.as_str() {
                    "/2020-01-01/extension/event/next" => {
                        asked.send(()).await.unwrap();
                        let kind = next.lock().await.recv().await.unwrap();
                        let event = serde_json::json!({"eventType": kind, "deadlineMs": 1});
                        answer.body(event.to_string().into_bytes()).unwrap()
                    }
                    _ => answer.body(b"{}".to_vec()).unwrap() as Reply,
                }
            }
        })
        .await;
        Self { server, questions, events }
    }

    fn paths(&self) -> Vec<String> {
        let received = self.server.received().into_iter();
        received.map(|request| request.path.trim_start_matches("/2020-01-01/extension").to_owned()).collect()
    }
}

/// The layer as Lambda unpacks it. What its zip holds has a test of its own.
fn unpacked(url: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (program, file) = (folder.path().join("extensions").join(NAME), folder.path().join(URL_FILE));
    for file in [&program, &file] {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    }
    std::fs::copy(env!("CARGO_BIN_EXE_millrace-extension"), program).unwrap();
    std::fs::write(file, format!("{url}\n")).unwrap();
    folder
}

fn start(layer: &Path, lambda: &Lambda, endpoint: &str) -> Child {
    Command::new(layer.join("extensions").join(NAME))
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", lambda.server.port))
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_SESSION_TOKEN", "the function's session")
        .env("AWS_ENDPOINT_URL_CODEPIPELINE", endpoint)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn ended(mut child: Child) -> (ExitStatus, String) {
    let status = timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    (status, said)
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn it_serves_before_the_function_begins_and_until_lambda_ends_it() {
    let gateway = Gateway::start(|_| std::future::ready(answered("{}"))).await;
    let mut lambda = Lambda::new().await;
    let (layer, port) = (unpacked(&gateway.url()), free_port().await);
    let child = start(layer.path(), &lambda, &format!("http://127.0.0.1:{port}"));

    timeout(PATIENCE, lambda.questions.recv()).await.expect("it says that it is ready");
    let register = &lambda.server.received()[0];
    assert_eq!((register.method.as_str(), register.header("lambda-extension-name")), ("POST", "millrace"));
    assert_eq!(register.body, br#"{"events":["SHUTDOWN"]}"#, "no invocation waits for it");
    assert_eq!(lambda.paths(), ["/register", "/event/next"]);
    assert_eq!(lambda.server.received()[1].header("lambda-extension-identifier"), "id-1");

    assert_eq!(call(port, "PutJobSuccessResult", r#"{"jobId":"j"}"#).await.status, 200);
    let [request] = &gateway.received()[..] else { panic!("one request") };
    assert_eq!(request.path, "/live/service/CodePipeline_20150709/operation/PutJobSuccessResult");
    assert_eq!(request.header("x-amz-security-token"), "the function's session");

    // What it has not asked for, it passes over.
    lambda.events.send("INVOKE").await.unwrap();
    timeout(PATIENCE, lambda.questions.recv()).await.expect("it asks again");
    assert_eq!(call(port, "PutJobFailureResult", r#"{"jobId":"j"}"#).await.status, 200);
    lambda.events.send("SHUTDOWN").await.unwrap();
    let (status, said) = ended(child).await;
    assert!(status.success(), "{said}");
    assert!(said.contains("\"operation\":\"PutJobFailureResult\""), "its log is the function's: {said}");
    assert!(!said.contains(SECRET) && !said.contains("the function's session"), "{said}");
    assert_eq!(lambda.paths(), ["/register", "/event/next", "/event/next"]);
}

#[tokio::test]
async fn lambda_is_told_why_it_cannot_begin() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let layer = unpacked("http://127.0.0.1:1/live");
    let bare = unpacked("http://127.0.0.1:1/live");
    std::fs::remove_file(bare.path().join(URL_FILE)).unwrap();
    for (layer, endpoint, words) in [
        (&layer, format!("http://127.0.0.1:{port}"), "cannot listen on port"),
        (&bare, "http://127.0.0.1:1".to_owned(), "MILLRACE_API_URL"),
    ] {
        let lambda = Lambda::new().await;
        let (status, said) = ended(start(layer.path(), &lambda, &endpoint)).await;
        assert!(!status.success() && said.contains(words), "{said}");
        assert_eq!(lambda.paths(), ["/register", "/init/error"]);
        let told = &lambda.server.received()[1];
        assert!(String::from_utf8_lossy(&told.body).contains(words), "{told:?}");
        assert_eq!(told.header("lambda-extension-identifier"), "id-1");
    }
}
