//! The pages, as people have them: in a real Chromium, against the deployed stack.
//!
//! ```text
//! cargo test --workspace --test chromium                  # all cases
//! cargo test --workspace --test chromium -- keyboard      # cases with this word in their name
//! ```
//!
//! Chromium and its WebDriver are Debian's (`chromium`, `chromium-driver`); axe-core, which looks for what keeps people from
//! using a page, is fetched from the npm registry. Cases wait for conditions, never for a time. Screenshots of what they see
//! are left in `target/browser/screenshots`.
//!
//! - `chrome`: the WebDriver's process, one for all cases.
//! - `webdriver`: the protocol.
//! - `browser`: a browser as a case sees it: go, click, type, press keys, wait.
//! - `page`: what must be true of every page, whatever is on it.
//! - `door`: the proxy in front of the console.
//! - `cases`: the cases, by screen.

mod browser;
mod cases;
mod chrome;
mod door;
mod page;
mod webdriver;

pub use browser::{Browser, Key, Look};

/// Runs the suite; see [`e2e::run`] about its arguments.
#[must_use]
pub fn main() -> std::process::ExitCode {
    e2e::run(e2e::Suite {
        emulator: local::Emulator::Ministack,
        name: "browser".into(),
        cases: cases::ALL,
        // Each has one browser or two, and a browser takes a processor while it starts.
        at_once: 3,
        programs: None,
        exhausts_permissions: false,
    })
}
