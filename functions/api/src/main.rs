//! CodePipeline's API as a Lambda function: see the library of this crate.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = runtime::Settings::from_environment()?;
    let clients = runtime::Clients::new(&settings).await;
    let driver = runtime::driver(&settings, &clients)?;
    let app = api::App::new(driver, settings.account()?, clients.roles().clone()).on(settings.endpoint_url());
    let app = &app;
    runtime::run_http(|request| async move { Ok(api::handle(app, request).await) }).await
}
