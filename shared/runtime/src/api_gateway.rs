//! Whether a request came through the installation's own API.

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use crate::settings::{SettingError, Settings};

/// An invocation that no request to the installation's API has caused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is not of the API {api} in the account {account}: this function is called through it only")]
pub struct NotThroughApi {
    api: String,
    account: String,
}

/// The API in front of a function. API Gateway checks who signed a request and says it in the event's request context;
/// an event without the context of this API says nothing about anybody.
///
/// Whoever may invoke the function itself can make up such a context. So `lambda:InvokeFunction` on these functions is for
/// API Gateway alone.
#[derive(Clone, Debug)]
pub struct ApiGateway {
    /// API id and account; none on an emulator, whose contexts differ.
    expected: Option<(String, String)>,
}

impl ApiGateway {
    /// # Errors
    /// [`SettingError::Missing`] for the API's id or the account.
    pub fn new(settings: &Settings) -> Result<Self, SettingError> {
        let expected = (settings.api_id()?, settings.account()?);
        Ok(Self { expected: settings.endpoint_url().is_none().then_some(expected) })
    }

    /// Succeeds for a request that came through the API.
    ///
    /// # Errors
    /// [`NotThroughApi`].
    pub fn check(&self, request: &Request) -> Result<(), NotThroughApi> {
        let Some((api, account)) = &self.expected else { return Ok(()) };
        match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV1(context))
                if context.apiid.as_ref() == Some(api) && context.account_id.as_ref() == Some(account) =>
            {
                Ok(())
            }
            _ => Err(NotThroughApi { api: api.clone(), account: account.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn gateway(emulator: Option<&'static str>) -> ApiGateway {
        let settings = Settings::read(move |name| match name {
            "AWS_REGION" => Some("eu-west-1".into()),
            "MILLRACE_API_ID" => Some("abc123".into()),
            "MILLRACE_ACCOUNT" => Some("111122223333".into()),
            "AWS_ENDPOINT_URL" => emulator.map(ToOwned::to_owned),
            _ => None,
        });
        ApiGateway::new(&settings.unwrap()).unwrap()
    }

    fn request(context: Value) -> Request {
        let event = json!({
            "resource": "/", "path": "/", "httpMethod": "POST", "headers": {}, "multiValueHeaders": {},
            "requestContext": context, "body": "{}",
        });
        lambda_http::request::from_str(&event.to_string()).unwrap()
    }

    fn context(api: &str, account: &str) -> Value {
        json!({
            "accountId": account, "apiId": api, "stage": "live", "requestId": "r", "resourcePath": "/",
            "httpMethod": "POST", "identity": {"userArn": "arn:aws:iam::111122223333:user/ada"},
        })
    }

    #[test]
    fn an_event_that_is_not_of_the_installation_s_api_is_refused() {
        let aws = gateway(None);
        assert_eq!(aws.check(&request(context("abc123", "111122223333"))), Ok(()));
        for forged in [
            context("another", "111122223333"),
            context("abc123", "444455556666"),
            json!({"httpMethod": "POST", "identity": {"userArn": "arn:aws:iam::111122223333:user/ada"}}),
        ] {
            let refusal = aws.check(&request(forged.clone())).unwrap_err().to_string();
            assert!(refusal.contains("abc123") && refusal.contains("111122223333"), "{forged} {refusal}");
        }
    }

    #[test]
    fn an_emulator_s_contexts_are_taken_as_they_are() {
        assert_eq!(gateway(Some("http://localhost:4566")).check(&request(context("local", "000000000000"))), Ok(()));
    }
}
