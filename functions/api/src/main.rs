//! CodePipeline's API as a Lambda function: see the library of this crate.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use runtime::{ApiGateway, CallLog, Clients, JobIds, PassRole, Roles, SettingError, Settings};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (gateway, app) = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run_http(gateway, |request| async move { Ok(api::handle(app, request).await) }).await
}

fn wire(settings: &Settings, clients: &Clients) -> Result<(ApiGateway, api::App), SettingError> {
    let driver = runtime::driver_with_secrets(settings, clients, providers::SOURCES)?;
    let account = settings.account()?;
    let roles = Roles::of(settings, clients)?;
    let pass_role = PassRole::new(settings, clients)?;
    let job_ids = JobIds::new(settings, clients)?;
    let calls = CallLog::new(settings, clients)?;
    let app = api::App::new(driver, &account, roles, pass_role, job_ids, calls, clients.web())
        .on(settings.endpoint_url())
        .with_topics(settings.notify_topics()?)
        .with_root(settings.json_on_root()?);
    Ok((ApiGateway::new(settings)?, app))
}

#[cfg(test)]
mod environment {
    use runtime::{Clients, Settings};
    use testkit::{Stub, Template};

    #[test]
    fn its_environment_is_what_it_reads_and_nothing_else() {
        let environment = Template::home().environment("ApiFunction");
        let settings = Settings::read(environment.lookup()).unwrap();
        super::wire(&settings, &Clients::from_config(Stub::unused().config())).unwrap();
        environment.assert_read();
    }
}
