//! The pages in Chromium, on MiniStack.

fn main() -> std::process::ExitCode {
    browser::main()
}
