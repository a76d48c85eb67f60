//! The suite on LocalStack.

fn main() -> std::process::ExitCode {
    e2e::main(local::Emulator::Localstack, env!("CARGO_BIN_EXE_forward"), env!("CARGO_BIN_EXE_extension"))
}
