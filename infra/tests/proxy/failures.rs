//! When the API, the network or the credentials fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use millrace::proxy::Credentials;
use tokio::net::TcpListener;

use crate::client::call;
use crate::gateway::{Gateway, answered, refused};
use crate::signature::{KEY, SECRET};
use crate::world::{PATIENCE, World, keys, proxy};

async fn exception(world: &World) -> (String, String) {
    call(world.port, "GetPipeline", r#"{"name":"a"}"#).await.exception()
}

#[tokio::test]
async fn an_api_that_is_too_slow_is_not_waited_for() {
    let gateway = Gateway::start(|_| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        answered("{}")
    })
    .await;
    let (port, _, _running) = proxy(&gateway.url(), keys(), Duration::from_millis(300)).await;
    let answer = call(port, "GetPipeline", r#"{"name":"a"}"#).await;
    let (name, message) = answer.exception();
    assert_eq!((answer.status, name.as_str()), (503, "ServiceUnavailableException"));
    assert!(message.contains("may have done"), "{message}");
    assert!(gateway.received().len() <= 1, "it is not asked again");
}

#[tokio::test]
async fn an_api_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (port, _, _running) = proxy(&format!("http://{free}/live"), keys(), PATIENCE).await;
    let answer = call(port, "GetPipeline", r#"{"name":"a"}"#).await;
    let (name, message) = answer.exception();
    assert_eq!((answer.status, name.as_str()), (503, "ServiceUnavailableException"));
    assert!(message.contains(&free.to_string()) && message.contains("refused"), "{message}");
}

#[tokio::test]
async fn an_api_that_hangs_up_is_no_panic() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/live", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let (port, _, _running) = proxy(&url, keys(), PATIENCE).await;
    assert_eq!(call(port, "ListPipelines", "{}").await.exception().0, "ServiceUnavailableException");
}

#[tokio::test]
async fn what_is_not_millrace_is_recognized() {
    let world =
        World::new(|_| http::Response::builder().header("content-type", "text/html").body(b"hello".to_vec()).unwrap())
            .await;
    let (name, message) = exception(&world).await;
    assert_eq!(name, "UnknownOperationException");
    assert!(message.contains("ApiUrl"), "{message}");
}

#[tokio::test]
async fn errors_of_api_gateway_become_aws_s_exceptions() {
    for (status, kind, name, tried) in [
        (429, "TooManyRequestsException", "ThrottlingException", 1),
        (502, "InternalServerErrorException", "InternalFailure", 1),
        (504, "InternalServerErrorException", "ServiceUnavailableException", 1),
        (403, "MissingAuthenticationTokenException", "UnknownOperationException", 2),
    ] {
        let world = World::new(move |_| refused(status, kind, "words of its own")).await;
        let (exception, message) = exception(&world).await;
        assert_eq!(exception, name);
        assert!(message.contains("words of its own"), "{message}");
        assert_eq!(world.paths().len(), tried, "{kind}");
    }
}

/// Credentials whose session's token counts up with each that is handed out; after the last, it fails.
#[derive(Debug)]
struct Sessions {
    given: AtomicUsize,
    most: usize,
}

impl ProvideCredentials for Sessions {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let turn = self.given.fetch_add(1, Ordering::SeqCst);
        future::ProvideCredentials::ready(if turn < self.most {
            Ok(Keys::new(KEY, SECRET, Some(format!("session {turn}")), None, "test"))
        } else {
            Err(CredentialsError::provider_error("the SSO session has ended"))
        })
    }
}

fn sessions(most: usize) -> Credentials {
    Credentials::new(Sessions { given: AtomicUsize::new(0), most })
}

#[tokio::test]
async fn a_new_login_counts_without_a_restart() {
    let world = World::with(sessions(2), |request| async move {
        match request.header("x-amz-security-token") {
            "session 0" => {
                refused(403, "ExpiredTokenException", "The security token included in the request is expired")
            }
            _ => answered("{}"),
        }
    })
    .await;
    assert_eq!(call(world.port, "GetPipeline", r#"{"name":"a"}"#).await.status, 200);
    assert_eq!(world.paths(), ["/pipelines/a/GetPipeline", "/pipelines/a/GetPipeline"]);
    assert_eq!(call(world.port, "GetPipeline", r#"{"name":"a"}"#).await.status, 200);
    assert_eq!(world.paths().len(), 3, "the new ones are kept");
}

#[tokio::test]
async fn who_must_log_in_again_is_told_so() {
    let expired =
        |_| async { refused(403, "ExpiredTokenException", "The security token included in the request is expired") };
    let world = World::with(sessions(1), expired).await;
    let (name, message) = exception(&world).await;
    assert_eq!(name, "ExpiredTokenException");
    assert!(message.contains("aws sso login"), "{message}");
    // From now on there are none at all.
    let (name, message) = exception(&world).await;
    assert_eq!(name, "ExpiredTokenException");
    assert!(message.contains("aws sso login") && message.contains("the SSO session has ended"), "{message}");
    assert_eq!(world.paths().len(), 1);
}

#[tokio::test]
async fn calls_at_once_ask_for_credentials_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    #[derive(Debug)]
    struct Slow(Arc<AtomicUsize>);
    impl ProvideCredentials for Slow {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.0.fetch_add(1, Ordering::SeqCst);
            future::ProvideCredentials::new(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(Keys::new(KEY, SECRET, None, None, "test"))
            })
        }
    }
    let world = World::with(Credentials::new(Slow(asked.clone())), |_| async { answered("{}") }).await;
    let calls = (0..10).map(|_| tokio::spawn(call(world.port, "ListPipelines", "{}"))).collect::<Vec<_>>();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
