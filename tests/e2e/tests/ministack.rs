//! The suite on MiniStack.

fn main() -> std::process::ExitCode {
    e2e::main(local::Emulator::Ministack, env!("CARGO_BIN_EXE_forward"), env!("CARGO_BIN_EXE_extension"))
}
