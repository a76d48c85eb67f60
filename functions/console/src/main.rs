//! The console as a Lambda function: see the library of this crate.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::sync::Arc;

use console::{Asked, Console, Public};
use lambda_http::http::{HeaderMap, HeaderName, header};
use lambda_http::{Body, Request, RequestExt, Response};
use notify::Macs;
use pictures::PublicLinks;
use runtime::{ApiGateway, Clients, SettingError, Settings, SystemClock};

/// What the page's script sends when it asks for the part that is updated.
const LIVE: HeaderName = HeaderName::from_static("x-millrace-live");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (gateway, console) = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run_http(gateway, |request| async move { answer(console, &request).await }).await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(ApiGateway, Console), SettingError> {
    let driver = runtime::reading_driver(settings, clients, providers::SOURCES)?;
    let links = PublicLinks::new(Macs::new(clients.kms().clone(), settings.badge_key()?));
    let public = Public { links, api: settings.api_url()?, account: settings.account()? };
    Ok((ApiGateway::new(settings)?, Console::new(driver, Arc::new(SystemClock), public)))
}

async fn answer(console: &Console, request: &Request) -> anyhow::Result<Response<Body>> {
    let path = request.raw_http_path();
    let query = request.query_string_parameters();
    let asked = Asked {
        method: request.method(),
        path,
        query: query.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        known: text(request.headers(), &header::IF_NONE_MATCH),
        live: request.headers().contains_key(LIVE),
        body: std::str::from_utf8(request.body()).unwrap_or_default(),
    };
    let answered = console.answer(&asked).await;
    let mut response = Response::builder().status(answered.status);
    for (name, value) in &answered.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Body::Text(answered.body))?)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod environment {
    use runtime::{Clients, Settings};
    use testkit::{Stub, Template};

    #[test]
    fn its_environment_is_what_it_reads_and_nothing_else() {
        let environment = Template::home().environment("ConsoleFunction");
        let settings = Settings::read(environment.lookup()).unwrap();
        super::wire(&settings, &Clients::from_config(Stub::unused().config())).unwrap();
        environment.assert_read();
    }
}
