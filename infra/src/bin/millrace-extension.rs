//! The Lambda layer's program: see `millrace::extension`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    millrace::extension::run().await
}
