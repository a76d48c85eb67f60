//! CodePipeline's API as a Lambda function: see the library of this crate.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = runtime::Settings::from_environment()?;
    let clients = runtime::Clients::new(&settings).await;
    let driver = runtime::driver(&settings, &clients, providers::SOURCES)?;
    let account = settings.account()?;
    let roles = runtime::Roles::new(clients.config(), account);
    let pass_role = runtime::PassRole::new(&settings, &clients)?;
    let job_ids = runtime::JobIds::new(&settings, &clients)?;
    let app = api::App::new(driver, account, roles, pass_role, job_ids)
        .on(settings.endpoint_url())
        .with_root(settings.json_on_root());
    let app = &app;
    runtime::run_http(|request| async move { Ok(api::handle(app, request).await) }).await
}
