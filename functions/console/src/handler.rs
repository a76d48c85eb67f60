//! From a request to a page.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use driver::{Clock, DriveError, Driver};
use engine::{ExecutionId, Head, Incarnation};
use lambda_http::http::{HeaderName, Method, StatusCode, header};
use maud::{Markup, html};
use pages::{Layout, notice, policy};
use pictures::PublicLinks;
use pipeline::{Pipeline, PipelineName};
use sha2::{Digest, Sha256};
use store::PipelineVersions;

use crate::address;
use crate::recent::Ended;
use crate::screens;
use crate::trouble::Trouble;

/// The script of pages, in a function of its own.
pub const SCRIPT: &str = concat!("'use strict';(() => {\n", include_str!("script.js"), "})();");
/// The same with what only the editor of a definition needs.
pub const EDITOR: &str =
    concat!("'use strict';(() => {\n", include_str!("script.js"), include_str!("editor.js"), "})();");

/// When the incarnations of more pipelines than this are remembered, all are forgotten.
const MOST_KNOWN: usize = 10_000;

/// How pictures are shown to everybody.
#[derive(Debug)]
pub struct Public {
    /// Makes the links to them.
    pub links: PublicLinks,
    /// The address of the API, behind which the links lead.
    pub api: String,
    /// The account, for ARNs of pipelines.
    pub account: String,
}

/// Answers requests for pages.
pub struct Console {
    /// Reads; nothing here writes.
    pub driver: Driver,
    /// How pictures are shown to everybody.
    pub public: Public,
    clock: Arc<dyn Clock>,
    versions: PipelineVersions,
    /// Under which incarnation a pipeline was last found: only a hint where its locks may be.
    incarnations: Mutex<HashMap<PipelineName, Incarnation>>,
    /// What ran in pipelines in which nothing has changed since.
    pub ended: Mutex<Ended>,
}

/// A request.
#[derive(Debug)]
pub struct Asked<'a> {
    /// GET and HEAD for pages, POST for a text that is to be checked.
    pub method: &'a Method,
    /// The path, from `/console` on.
    pub path: &'a str,
    /// The names and values after the `?`, percent-decoded.
    pub query: BTreeMap<String, String>,
    /// `If-None-Match`: the version that the script shows.
    pub known: Option<String>,
    /// Whether only the part is wanted that is updated.
    pub live: bool,
    /// The text that is to be checked.
    pub body: &'a str,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// 304 where the known version is the current one.
    pub status: StatusCode,
    /// Those that keep a page from being stored, framed or led astray among them.
    pub headers: Vec<(HeaderName, String)>,
    /// HTML; empty where there is nothing new.
    pub body: String,
}

/// What a screen is made of.
#[derive(Debug)]
pub struct Screen {
    /// What the browser's tab says.
    pub title: String,
    /// The part that is updated.
    pub main: Markup,
    /// The version of what it shows; none for what never changes.
    pub version: Option<String>,
    /// A class of the page.
    pub class: &'static str,
    /// What runs in the browser: [`SCRIPT`], or [`EDITOR`] where a definition is typed.
    pub script: &'static str,
}

/// What is no page: a picture, or a text for programs.
#[derive(Debug)]
pub struct File {
    /// 200 where it is what was asked for.
    pub status: StatusCode,
    /// The media type for `Content-Type`, for example `image/svg+xml`.
    pub kind: &'static str,
    /// The header `Content-Security-Policy`: what it may load if somebody opens it by itself.
    pub policy: String,
    /// The whole of it. It is the same as long as what it shows is.
    pub body: String,
}

/// What a screen's function comes to.
#[derive(Debug)]
pub enum Shown {
    /// The known version is the current one.
    Same(String),
    /// There is something to show.
    Screen(Screen),
    /// Something that is no page.
    File(File),
    /// The page is elsewhere.
    Elsewhere(String),
}

impl Console {
    /// Pages over what this driver reads.
    pub fn new(driver: Driver, clock: Arc<dyn Clock>, public: Public) -> Self {
        Self {
            driver,
            public,
            clock,
            versions: PipelineVersions::default(),
            incarnations: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// The clock's time, in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now().0
    }

    /// A stored version of a pipeline.
    pub async fn stored(&self, name: &PipelineName, head: &Head, version: u32) -> Result<Arc<Pipeline>, DriveError> {
        let found = self.versions.get(self.driver.store(), name, head.incarnation, version).await?;
        let missing = || DriveError::VersionNotFound { pipeline: name.to_string(), version };
        Ok(found.ok_or_else(missing)?.pipeline)
    }

    /// Under which incarnation a pipeline was last found.
    pub fn incarnation(&self, name: &PipelineName) -> Option<Incarnation> {
        self.incarnations.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Remembers under which incarnation a pipeline was found.
    pub fn remember(&self, name: &PipelineName, incarnation: Incarnation) {
        let mut known = self.incarnations.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(name.clone(), incarnation);
    }

    /// Answers a request. Whatever is wrong with it has a page that says so.
    pub async fn answer(&self, asked: &Asked<'_>) -> Answer {
        let checks = *asked.method == Method::POST && asked.checks().is_some();
        if !checks && *asked.method != Method::GET && *asked.method != Method::HEAD {
            let words = html! { p { "Pages are read here. What a person does is a call of CodePipeline's API." } };
            let page = message("That is not possible here", &words);
            return finished(page, asked, StatusCode::METHOD_NOT_ALLOWED);
        }
        match self.screen(asked).await {
            Ok(Shown::Same(version)) => Answer {
                status: StatusCode::NOT_MODIFIED,
                headers: vec![(header::ETAG, version), (header::CACHE_CONTROL, "no-store".into())],
                body: String::new(),
            },
            Ok(Shown::Screen(screen)) => finished(screen, asked, StatusCode::OK),
            Ok(Shown::File(file)) => file.answer(asked),
            Ok(Shown::Elsewhere(address)) => {
                let headers = vec![(header::LOCATION, address), (header::CACHE_CONTROL, "no-store".into())];
                Answer { status: StatusCode::FOUND, headers, body: String::new() }
            }
            Err(error) => {
                let (status, heading, words) = error.explained();
                finished(message(heading, &words), asked, status)
            }
        }
    }

    async fn screen(&self, asked: &Asked<'_>) -> Result<Shown, Trouble> {
        if *asked.method == Method::POST {
            let name = asked.checks().ok_or(Trouble::Nowhere)?;
            return screens::edit::checked(self, &PipelineName::new(name)?, asked).await;
        }
        let parts = address::parts(asked.path).ok_or(Trouble::Nowhere)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            [] => Ok(Shown::Elsewhere(address::PIPELINES.to_owned())),
            ["wall"] => screens::wall::show(self, asked).await,
            ["pipelines"] => screens::pipelines::show(self, asked).await,
            ["pipelines", name] => screens::pipeline::show(self, &PipelineName::new(name)?, asked).await,
            ["pipelines", name, page] => {
                let name = PipelineName::new(name)?;
                match page {
                    "history" => screens::history::show(self, &name, asked).await,
                    "time" => screens::spent::show(self, &name, asked).await,
                    "definition" => screens::definition::show(self, &name, asked).await,
                    "edit" => screens::edit::show(self, &name, asked).await,
                    "rollback" => screens::rollback::show(self, &name, asked).await,
                    "badge" => screens::badge::show(self, &name, asked).await,
                    "badge.md" => screens::badge::markdown(self, &name, asked).await,
                    "badge.svg" | "graph.svg" => screens::badge::picture(self, &name, asked, page).await,
                    _ => Err(Trouble::Nowhere),
                }
            }
            ["pipelines", name, "executions", id] => {
                screens::execution::show(self, &PipelineName::new(name)?, id, asked).await
            }
            _ => Err(Trouble::Nowhere),
        }
    }
}

impl Asked<'_> {
    /// The pipeline whose definition this address checks.
    fn checks(&self) -> Option<String> {
        let parts = address::parts(self.path)?;
        let [check, name] = <[String; 2]>::try_from(parts).ok()?;
        (check == "check").then_some(name)
    }

    /// A value of the query; empty where it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.query.get(name).map_or("", |value| value.trim())
    }

    /// The execution that the query names, if it names one.
    pub fn execution(&self) -> Result<Option<ExecutionId>, Trouble> {
        match self.get("execution") {
            "" => Ok(None),
            id => Trouble::execution(id).map(Some),
        }
    }

    /// What tells this page from others, for its version.
    pub fn address(&self) -> String {
        format!("{}?{:?}", self.path, self.query)
    }
}

impl File {
    /// The file, or that it is the one that is known.
    fn answer(self, asked: &Asked<'_>) -> Answer {
        let digest = hex::encode(&Sha256::digest(&self.body)[..12]);
        let tag = format!("\"{digest}\"");
        let cached = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
        if self.status == StatusCode::OK && asked.known.as_ref() == Some(&tag) {
            return Answer { status: StatusCode::NOT_MODIFIED, headers: cached.into(), body: String::new() };
        }
        let mut headers = vec![
            (header::CONTENT_TYPE, self.kind.to_owned()),
            (header::CONTENT_SECURITY_POLICY, self.policy),
            (header::REFERRER_POLICY, "no-referrer".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (header::X_FRAME_OPTIONS, "DENY".to_owned()),
        ];
        headers.extend(cached);
        let body = if asked.method == Method::HEAD { String::new() } else { self.body };
        Answer { status: self.status, headers, body }
    }
}

fn message(heading: &str, words: &Markup) -> Screen {
    let then = html! { a class="button" href=(address::PIPELINES) { "To the pipelines" } };
    Screen { title: heading.to_owned(), main: notice(heading, words, &then), version: None, class: "", script: SCRIPT }
}

/// A script without its indentation and without the lines that are comments, which no browser needs.
fn stripped(script: &str) -> String {
    let lines = script.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn finished(screen: Screen, asked: &Asked<'_>, status: StatusCode) -> Answer {
    let script = stripped(screen.script);
    let mut headers = vec![
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy(Some(&script))),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::X_FRAME_OPTIONS, "DENY".to_owned()),
    ];
    headers.extend(screen.version.clone().map(|version| (header::ETAG, version)));
    // What is said of a text is put into the page that has asked.
    let is_part = asked.live || *asked.method == Method::POST;
    let body = match (asked.method == Method::HEAD, is_part) {
        (true, _) => String::new(),
        (false, true) => screen.main.into_string(),
        (false, false) => Layout {
            title: &screen.title,
            home: Some(address::HOME),
            nav: screens::nav(asked.path),
            main: screen.main,
            rest: screens::rest(),
            class: screen.class,
            script: Some(&script),
            version: screen.version.as_deref(),
        }
        .html(),
    };
    Answer { status, headers, body }
}
