//! The HTTP server: who may call, and the way from a request to what answers it.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq;
use tiny_http::{Header, Method, Request};

use crate::api::Api;
use crate::connection::Connection;
use crate::guard::{For, only, refusal};
use crate::hook::{POST_RECEIVE, Told};
use crate::http_backend::{Call, answer, spooled};
use crate::reply::Reply;
use crate::repository::{Name, Repository, git};

/// What Git's services are called in an address.
const SERVICES: [&str; 2] = ["git-upload-pack", "git-receive-pack"];

/// The folder of all repositories, in the code host's own.
pub const REPOSITORIES: &str = "repositories";

/// What a code host is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder in which it keeps everything.
    pub root: PathBuf,
    /// The file of the [`Connection`], which may not be there yet.
    pub connection: PathBuf,
    /// The program that Git runs as its hook, under the name [`POST_RECEIVE`].
    pub hook: PathBuf,
}

/// A running code host. It answers no more when this is dropped.
pub struct Server {
    url: String,
    http: Arc<tiny_http::Server>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.http.unblock();
    }
}

impl Server {
    /// Listens on this machine's loopback address; port 0 lets the system choose one.
    ///
    /// # Errors
    /// When the port is taken or the settings' folder cannot be made.
    pub fn start(port: u16, settings: Settings) -> Result<Self> {
        let http = tiny_http::Server::http((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| anyhow!("cannot listen on port {port} of 127.0.0.1: {error}"))?;
        let address = http.server_addr().to_ip().context("the server has no address")?;
        let host = Arc::new(Host::new(settings, address)?);
        let http = Arc::new(http);
        let server = Self { url: host.url.clone(), http: Arc::clone(&http) };
        std::thread::spawn(move || {
            for request in http.incoming_requests() {
                let host = Arc::clone(&host);
                // Of its own, since a push may take its time.
                std::thread::spawn(move || host.serve(request));
            }
        });
        Ok(server)
    }

    /// The URL under which clients reach it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

struct Host {
    url: String,
    port: u16,
    repositories: PathBuf,
    hooks: PathBuf,
    log: PathBuf,
    connection: PathBuf,
}

/// A request, with its address taken apart.
struct Asked {
    method: Method,
    segments: Vec<String>,
    query: String,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
        let decoded = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let segments = path.trim_start_matches('/').split('/').map(decoded).collect();
        Self { method: request.method().clone(), segments, query: query.to_owned() }
    }
}

impl Host {
    fn new(settings: Settings, address: SocketAddr) -> Result<Self> {
        let root = std::path::absolute(&settings.root)?;
        let (repositories, hooks) = (root.join(REPOSITORIES), root.join("hooks"));
        for folder in [&repositories, &hooks] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let hook = hooks.join(POST_RECEIVE);
        // That of an earlier build.
        let _ = std::fs::remove_file(&hook);
        symlink(std::path::absolute(&settings.hook)?, &hook).context("cannot make Git's hook")?;
        Ok(Self {
            url: format!("http://{address}"),
            port: address.port(),
            repositories,
            hooks,
            log: root.join("deliveries.log"),
            connection: std::path::absolute(&settings.connection)?,
        })
    }

    fn serve(&self, mut request: Request) {
        let asked = Asked::of(&request);
        let reply = self.reply(&asked, &mut request).unwrap_or_else(|error| {
            tracing::warn!("{} /{}: {error:#}", asked.method, asked.segments.join("/"));
            Reply::text(500, format!("{error:#}\n"))
        });
        reply.send(request);
    }

    fn reply(&self, asked: &Asked, request: &mut Request) -> Result<Reply> {
        let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
        let readers = if matches!(segments[..], [_, _, "commit", _]) { For::Readers } else { For::Programs };
        if let Some(why) = refusal(request.headers(), self.port, readers) {
            return Ok(Reply::text(403, why));
        }
        match (&asked.method, &segments[..]) {
            (Method::Get, ["api", "v3", "repos", owner, name, rest @ ..]) => {
                self.api(request.headers(), owner, name, rest)
            }
            (Method::Get, [owner, name, "commit", id]) => match self.find(owner, name) {
                Some(repository) => Api { repository: &repository, url: &self.url }.page(id),
                None => Ok(Reply::text(404, "There is no such repository.")),
            },
            (Method::Get, [owner, name, "info", "refs"]) => {
                let service = asked.query.strip_prefix("service=").unwrap_or_default();
                match SERVICES.contains(&service) {
                    true => self.git((owner, name, "info/refs"), service, asked, request),
                    false => Ok(Reply::text(403, "Only Git's smart protocol is spoken here.")),
                }
            }
            (Method::Post, [owner, name, service]) if SERVICES.contains(service) => {
                self.git((owner, name, service), service, asked, request)
            }
            _ => Ok(Reply::text(404, "There is nothing here: push to /OWNER/NAME.git\n")),
        }
    }

    fn find(&self, owner: &str, name: &str) -> Option<Repository> {
        Repository::find(&self.repositories, Name::new(owner, name)?)
    }

    fn api(&self, headers: &[Header], owner: &str, name: &str, rest: &[&str]) -> Result<Reply> {
        let Some(connection) = Connection::read(&self.connection)? else {
            return Ok(Reply::message(503, "The code host knows no token yet"));
        };
        let token = only(headers, "authorization").and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default();
        if !bool::from(token.as_bytes().ct_eq(connection.token.as_bytes())) {
            return Ok(Reply::message(401, "Bad credentials"));
        }
        match self.find(owner, name) {
            Some(repository) => Api { repository: &repository, url: &self.url }.get(rest),
            None => Ok(Reply::message(404, "Not Found")),
        }
    }

    /// Has Git answer. Whoever wants to push to a repository that is not there creates it.
    fn git(
        &self,
        (owner, name, path): (&str, &str, &str),
        service: &str,
        asked: &Asked,
        request: &mut Request,
    ) -> Result<Reply> {
        let Some(name) = Name::new(owner, name.strip_suffix(".git").unwrap_or(name)) else {
            let why =
                "Names of owners and repositories have letters, digits, - _ and . in them, and begin with none of .\n";
            return Ok(Reply::text(400, why));
        };
        let found = match service {
            "git-receive-pack" => Some(Repository::create(&self.repositories, name)?),
            _ => Repository::find(&self.repositories, name),
        };
        let Some(repository) = found else {
            return Ok(Reply::text(404, "There is no such repository. The first push to it creates it.\n"));
        };
        let Some(body) = spooled(request.as_reader())? else {
            return Ok(Reply::text(413, "It is more than this code host takes at once.\n"));
        };
        let headers = request.headers();
        let call = Call {
            method: asked.method.as_str(),
            path: format!("/{}.git/{path}", repository.name),
            query: &asked.query,
            content_type: only(headers, "content-type"),
            content_encoding: only(headers, "content-encoding"),
            protocol: only(headers, "git-protocol"),
        };
        let mut git = git();
        git.env("GIT_PROJECT_ROOT", &self.repositories);
        let told = Told {
            repositories: &self.repositories,
            name: &repository.name,
            url: &self.url,
            connection: &self.connection,
            log: &self.log,
        };
        told.tell(&mut git);
        configure(&mut git, &self.hooks);
        answer(git, &call, body)
    }
}

/// Configures Git for one run: anybody may push, what is pushed is looked through, and only our hook runs.
fn configure(git: &mut std::process::Command, hooks: &Path) {
    let hooks = hooks.to_string_lossy();
    let settings = [
        ("core.hooksPath", &*hooks),
        ("http.receivepack", "true"),
        ("http.getanyfile", "false"),
        ("receive.fsckObjects", "true"),
        // A build clones a commit by its id.
        ("uploadpack.allowReachableSHA1InWant", "true"),
    ];
    git.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (index, (key, value)) in settings.into_iter().enumerate() {
        git.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value);
    }
}
