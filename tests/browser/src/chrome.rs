//! The process of Chromium's WebDriver, one for all cases.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use local::Lifetime;
use tokio::sync::OnceCell;

/// The driver says its port within this, or something is wrong with it.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What it prints before its port.
const STARTED: &str = "was started successfully on port ";

/// The running driver. It ends with this process, and its browsers with it.
#[derive(Debug)]
pub struct Chrome {
    /// Where chromedriver answers, as a URL.
    pub endpoint: String,
    _guard: Option<ChildStdin>,
}

static CHROME: OnceCell<Chrome> = OnceCell::const_new();

/// Everything that this crate makes.
pub fn folder() -> PathBuf {
    // Without `..`: Chromium opens no file by such a path.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    root.join("target").join("browser")
}

/// The driver, started if it is not there yet.
pub async fn chrome() -> Result<&'static Chrome> {
    CHROME.get_or_try_init(start).await
}

async fn start() -> Result<Chrome> {
    // Whatever earlier runs have left there.
    let home = folder().join("home");
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot empty {}", home.display()))?;
    }
    fs::create_dir_all(home.join("tmp")).with_context(|| format!("cannot make {}", home.display()))?;
    let program = ["chromedriver", "--port=0", "--log-level=WARNING"].map(OsString::from);
    let mut child = local::command(&program, Lifetime::UntilExit)
        .env("HOME", &home)
        // Each session makes a profile of its own there, and removes it.
        .env("TMPDIR", home.join("tmp"))
        .stdout(Stdio::piped())
        .stderr(fs::File::create(folder().join("chromedriver.log"))?)
        .spawn()
        .context("cannot start a shell")?;
    let guard = child.stdin.take();
    let output = child.stdout.take().context("chromedriver has no output")?;
    let listening = tokio::task::spawn_blocking(move || port(BufReader::new(output)));
    let port = match tokio::time::timeout(START_LIMIT, listening).await {
        Ok(port) => port??,
        Err(_) => bail!("chromedriver does not say its port within {} s", START_LIMIT.as_secs()),
    };
    let Some(port) = port else {
        bail!(
            "chromedriver does not start. The pages are tested in Chromium: install it and its WebDriver (Debian: \
             apt-get install chromium chromium-driver). What it said is in {}",
            folder().join("chromedriver.log").display()
        );
    };
    Ok(Chrome { endpoint: format!("http://127.0.0.1:{port}"), _guard: guard })
}

/// The port that the driver says it listens on; none if it ends before. The rest of its output is read as well: nobody may
/// wait for a full pipe.
fn port(mut output: impl BufRead + Send + 'static) -> Result<Option<u16>> {
    let mut line = String::new();
    loop {
        line.clear();
        if output.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if let Some((_, port)) = line.split_once(STARTED) {
            let port = port.trim().trim_end_matches('.').parse().context("the driver names no port")?;
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
            return Ok(Some(port));
        }
    }
}
