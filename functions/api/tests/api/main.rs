//! The API as its clients see it: the real SDK client, in both protocols, through API Gateway's event to the handler,
//! over a real driver and the in-memory store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod action_types;
mod audit;
mod control;
mod executions;
mod job_workers;
mod pipelines;
mod release;
mod secrets;
mod sources;
mod tags;
mod webhooks;
mod wire_level;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use api::App;
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::config::http::{HttpRequest, HttpResponse};
use aws_sdk_codepipeline::config::retry::RetryConfig;
use aws_sdk_codepipeline::config::{BehaviorVersion, Builder, Config, Credentials, Region};
use aws_sdk_codepipeline::types::PipelineDeclaration;
use aws_smithy_cbor::protocol::RpcV2CborProtocol;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_types::body::SdkBody;
use conformance::declaration;
use conformance::gateway::deliver;
use conformance::world::{CALLER, REGION, World};
use serde_json::Value;

/// A client of a world by AWS JSON 1.1.
pub fn client(world: &World) -> Client {
    Client::from_conf(config(world).build())
}

/// A client of a world by Smithy RPC v2 CBOR.
pub fn cbor_client(world: &World) -> Client {
    Client::from_conf(config(world).protocol(RpcV2CborProtocol::new()).build())
}

fn config(world: &World) -> Builder {
    let connector = SharedHttpConnector::new(TestConnector(world.app.clone()));
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url("https://gateway.example.com")
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()))
}

/// Runs a test once in each protocol, each time in a world of its own.
pub async fn in_both<F: Future<Output = ()>>(test: impl Fn(World, Client) -> F) {
    for client_of in [client, cbor_client] {
        let world = World::new();
        let client = client_of(&world);
        test(world, client).await;
    }
}

/// Carries the SDK's requests to the API by way of API Gateway.
struct TestConnector(Arc<App>);

impl fmt::Debug for TestConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestConnector")
    }
}

impl HttpConnector for TestConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let app = self.0.clone();
        HttpConnectorFuture::new(async move {
            let path = request.uri().split('/').skip(3).fold(String::new(), |path, part| path + "/" + part);
            let headers: Vec<(&str, &str)> = request.headers().iter().collect();
            let body = request.body().bytes().unwrap();
            let (status, headers, body) = deliver(Some(CALLER), &app, &path, &headers, body).await;
            let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            for (name, value) in headers {
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        })
    }
}

/// The exception's name and message of a call that was refused.
macro_rules! refused {
    ($call:expr) => {{
        use aws_sdk_codepipeline::error::ProvideErrorMetadata;
        let error = $call.send().await.expect_err("it should be refused");
        (error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
    }};
}
pub(crate) use refused;

/// Source, approval, function, deploy; `changes` sets values by JSON pointer.
pub fn release(name: &str, changes: &[(&str, Value)]) -> PipelineDeclaration {
    wire::from_json(&declaration::release(name, changes)).unwrap()
}
