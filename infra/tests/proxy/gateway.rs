//! A stand-in for API Gateway with Millrace's API behind it: a test says how it answers, and sees what has come.

use http::Response;

use crate::server::{Received, Reply, Server};
use crate::signature;

/// An answer of the API's function in AWS JSON 1.1.
pub fn answered(body: &str) -> Reply {
    let answer = Response::builder().header("content-type", "application/x-amz-json-1.1");
    answer.header("x-amzn-requestid", "r-1").body(body.as_bytes().to_vec()).unwrap()
}

/// An error of API Gateway itself.
pub fn refused(status: u16, kind: &str, words: &str) -> Reply {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    let body = serde_json::json!({"message": words}).to_string();
    answer.header("x-amzn-errortype", kind).body(body.into_bytes()).unwrap()
}

pub struct Gateway(Server);

impl Gateway {
    /// Answers by a function, once it has checked the signature.
    pub async fn start<F: Future<Output = Reply> + Send + 'static>(
        reply: impl Fn(Received) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let checked = move |received: Received| {
            let answer = signature::check(&received).map(|()| reply(received));
            async move {
                match answer {
                    Ok(answer) => answer.await,
                    Err(why) => refused(403, "InvalidSignatureException", &why),
                }
            }
        };
        Self(Server::start(checked).await)
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.0.received()
    }

    /// The base of the API, with a stage as API Gateway has it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/live", self.port())
    }
}
