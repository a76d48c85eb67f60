//! The program of the Lambda layer, so that a case can start it: the same as `infra/src/bin/millrace-extension.rs`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    millrace::extension::run().await
}
