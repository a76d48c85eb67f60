//! A browser, as a case sees it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use e2e::until;
use serde_json::{Value, json};

use crate::chrome::{chrome, folder};
use crate::webdriver::{ELEMENT, Session};

/// How long a page may take to become as a case expects: functions start, and the machine is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a person looks at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// A phone: 390 pixels wide.
    pub phone: bool,
    /// The system's dark colours.
    pub dark: bool,
}

impl Look {
    /// A desk, by day.
    pub const DESK: Self = Self { phone: false, dark: false };
    /// Every look that pages must be good in.
    pub const ALL: [Self; 4] = [
        Self::DESK,
        Self { phone: false, dark: true },
        Self { phone: true, dark: false },
        Self { phone: true, dark: true },
    ];

    /// A word for the name of a screenshot.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.phone, self.dark) {
            (false, false) => "light",
            (false, true) => "dark",
            (true, false) => "phone-light",
            (true, true) => "phone-dark",
        }
    }
}

/// A key that is no character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// To what can be used next.
    Tab,
    /// Back to what was before.
    ShiftTab,
    /// Presses what has the focus.
    Enter,
    /// Presses a button, opens what can be opened.
    Space,
    /// Closes what is open.
    Escape,
    /// Takes away what is selected, or what stands behind the caret.
    Delete,
}

/// A browser with a profile of its own: somebody at a machine. It ends when it is dropped.
#[derive(Debug)]
pub struct Browser {
    session: Session,
}

impl Browser {
    /// Opens one, with a window for a desk.
    pub async fn open() -> Result<Self> {
        Self::with(json!({})).await
    }

    /// Opens one in which pages run no scripts.
    pub async fn without_scripts() -> Result<Self> {
        Self::with(json!({"profile.managed_default_content_settings.javascript": 2})).await
    }

    async fn with(preferences: Value) -> Result<Self> {
        let arguments = [
            "--headless",
            // The browser ends with its driver, however that ends.
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments, "prefs": preferences},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let session = Session::start(&chrome().await?.endpoint, capabilities).await?;
        Ok(Self { session })
    }

    /// Looks at everything from now on in this way.
    pub async fn look(&self, look: Look) -> Result<()> {
        let scheme = json!({"name": "prefers-color-scheme", "value": if look.dark { "dark" } else { "light" }});
        self.session.devtools("Emulation.setEmulatedMedia", json!({"features": [scheme]})).await?;
        let (command, size) = if look.phone {
            let size = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
            ("Emulation.setDeviceMetricsOverride", size)
        } else {
            ("Emulation.clearDeviceMetricsOverride", json!({}))
        };
        self.session.devtools(command, size).await?;
        Ok(())
    }

    /// Goes to an address and waits until the page is there.
    pub async fn goto(&self, url: &str) -> Result<()> {
        self.session.post("url", json!({"url": url})).await.map(drop).context("the page does not load")
    }

    /// Loads the page again.
    pub async fn reload(&self) -> Result<()> {
        self.session.post("refresh", json!({})).await.map(drop)
    }

    /// The address of the page.
    pub async fn address(&self) -> Result<String> {
        text_of(self.session.get("url").await?)
    }

    /// What the browser's tab says.
    pub async fn title(&self) -> Result<String> {
        text_of(self.session.get("title").await?)
    }

    /// Runs a script as the body of a function; what it returns.
    pub async fn script(&self, script: &str, arguments: Value) -> Result<Value> {
        self.session.post("execute/sync", json!({"script": script, "args": arguments})).await
    }

    /// Runs a script whose last argument is a function to be called with its result.
    pub async fn script_with_callback(&self, script: &str, arguments: Value) -> Result<Value> {
        self.session.post("execute/async", json!({"script": script, "args": arguments})).await
    }

    /// A command of the Chrome DevTools Protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.session.devtools(command, parameters).await
    }

    /// The text of an element as it is to be seen.
    pub async fn text(&self, selector: &str) -> Result<String> {
        let element = self.element(selector).await?;
        text_of(self.session.get(&format!("element/{element}/text")).await?)
    }

    /// Whether there is such an element and it can be seen.
    pub async fn shows(&self, selector: &str) -> Result<bool> {
        let script = "const found = document.querySelector(arguments[0]); return !!found && found.checkVisibility();";
        Ok(self.script(script, json!([selector])).await? == true)
    }

    /// Waits until an element's text contains these words.
    pub async fn until_text(&self, selector: &str, words: &str) -> Result<()> {
        let seen = || format!("{selector} does not say {words:?}");
        let found = until(PATIENCE, seen, || async { Ok(self.text(selector).await?.contains(words).then_some(())) });
        match found.await {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(error.context(format!("the page shows: {}", self.text("body").await.unwrap_or_default())))
            }
        }
    }

    /// Waits until a script, the body of a function, returns true.
    pub async fn until(&self, what: &str, script: &str) -> Result<()> {
        let ask = || async { Ok((self.script(script, json!([])).await? == true).then_some(())) };
        until(PATIENCE, || format!("it does not come about that {what}"), ask).await
    }

    /// Clicks on an element, and waits for the page that follows if one does.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector).await?;
        self.session.post(&format!("element/{element}/click"), json!({})).await.map(drop)
    }

    /// Types into an element, after what stands there.
    pub async fn enter(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector).await?;
        self.session.post(&format!("element/{element}/value"), json!({"text": text})).await.map(drop)
    }

    /// Presses a key, wherever the focus is.
    pub async fn press(&self, key: Key) -> Result<()> {
        let keys: &[&str] = match key {
            Key::Tab => &["\u{e004}"],
            Key::ShiftTab => &["\u{e008}", "\u{e004}"],
            Key::Enter => &["\u{e007}"],
            Key::Space => &[" "],
            Key::Escape => &["\u{e00c}"],
            Key::Delete => &["\u{e017}"],
        };
        self.keys(
            keys.iter()
                .map(|key| json!({"type": "keyDown", "value": key}))
                .chain(keys.iter().rev().map(|key| json!({"type": "keyUp", "value": key}))),
        )
        .await
    }

    /// Types, wherever the focus is.
    pub async fn write(&self, text: &str) -> Result<()> {
        let strokes = text.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        self.keys(strokes).await
    }

    async fn keys(&self, strokes: impl Iterator<Item = Value>) -> Result<()> {
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.session.post("actions", json!({"actions": [keyboard]})).await.map(drop)
    }

    /// What has the focus, in a few words: its id, its tag and name, or its tag and text.
    pub async fn focused(&self) -> Result<String> {
        let script = "const it = document.activeElement; \
            const tag = it.tagName.toLowerCase(); \
            return it.id || (it.name ? `${tag}[name=${it.name}]` : `${tag} ${it.textContent.trim().slice(0, 60)}`);";
        text_of(self.script(script, json!([])).await?)
    }

    /// Goes with the Tab key until this has the focus (as [`Browser::focused`] says it); on the way each stop must be seen.
    pub async fn tab_to(&self, wanted: &str) -> Result<()> {
        let mut stops = Vec::new();
        while stops.len() < 100 {
            self.press(Key::Tab).await?;
            let stop = self.focused().await?;
            if stop.starts_with("body") {
                stops.push(stop);
                continue;
            }
            let script = "const style = getComputedStyle(document.activeElement); \
                return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;";
            ensure!(self.script(script, json!([])).await? == true, "nobody sees that {stop} has the focus");
            if stop == wanted {
                return Ok(());
            }
            stops.push(stop);
        }
        bail!("the Tab key does not lead to {wanted:?}, but to {:?}", stops.iter().take(20).collect::<Vec<_>>())
    }

    /// What the browser complained about since it was asked last: blocked content, errors of scripts.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let log = self.session.post("se/log", json!({"type": "browser"})).await?;
        let entries = log.as_array().map(Vec::as_slice).unwrap_or_default();
        let loud = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        Ok(loud.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Leaves a picture of what can be seen in `target/browser/screenshots`.
    pub async fn screenshot(&self, name: &str) -> Result<()> {
        let folder = folder().join("screenshots");
        std::fs::create_dir_all(&folder)?;
        let picture = self.session.get("screenshot").await?;
        let picture = picture.as_str().context("no picture")?;
        std::fs::write(folder.join(format!("{name}.png")), BASE64_STANDARD.decode(picture)?)?;
        Ok(())
    }

    /// The WebDriver's id of the first element that the selector finds.
    async fn element(&self, selector: &str) -> Result<String> {
        let found = self.session.post("element", json!({"using": "css selector", "value": selector})).await;
        let found = found.with_context(|| format!("there is no {selector}"))?;
        Ok(found[ELEMENT].as_str().context("an element without an id")?.to_owned())
    }
}

fn text_of(value: Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("not a text: {value}"))?.to_owned())
}
