//! A code host, a door that takes its deliveries, and Git as somebody has it who pushes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use code_host::{Connection, Server, Settings};
use serde_json::Value;
use tempfile::TempDir;
use tiny_http::Response;

pub const TOKEN: &str = "t0ken";
pub const SECRET: &str = "a-secret-of-the-hook";

/// A request that came to the door.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Delivery {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers deliveries: first with the statuses that are prepared, then with 200.
pub struct Door {
    url: String,
    http: Arc<tiny_http::Server>,
    taken: Arc<Mutex<Vec<Delivery>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.http.unblock();
    }
}

impl Door {
    fn open() -> Self {
        let http = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let url = format!("http://{}/hook", http.server_addr());
        let (taken, statuses) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(VecDeque::new())));
        let door = Self { url, http: http.clone(), taken: Arc::clone(&taken), statuses: Arc::clone(&statuses) };
        std::thread::spawn(move || {
            for mut request in http.incoming_requests() {
                let headers = request.headers().iter();
                let headers =
                    headers.map(|it| (it.field.as_str().as_str().to_lowercase(), it.value.to_string())).collect();
                let mut body = Vec::new();
                request.as_reader().read_to_end(&mut body).unwrap();
                taken.lock().unwrap().push(Delivery { headers, body });
                let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
                let says = if status == 200 { "Accepted." } else { "No." };
                let answer = Response::from_string(format!("{{\"message\": \"{says}\"}}")).with_status_code(status);
                request.respond(answer).unwrap();
            }
        });
        door
    }

    pub fn answer_next(&self, statuses: &[u16]) {
        self.statuses.lock().unwrap().extend(statuses);
    }

    /// What has come since this was asked before.
    pub fn taken(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.taken.lock().unwrap())
    }
}

/// An answer of the code host.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub struct World {
    pub host: Server,
    pub door: Door,
    pub folder: TempDir,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let door = Door::open();
        let settings = Settings {
            root: folder.path().join("host"),
            connection: folder.path().join("connection.json"),
            hook: PathBuf::from(env!("CARGO_BIN_EXE_code-host")),
        };
        let world = Self { host: Server::start(0, settings).unwrap(), door, folder };
        world.connect(&world.door.url);
        world
    }

    /// Tells the code host where deliveries go.
    pub fn connect(&self, url: &str) {
        let connection = Connection { token: TOKEN.into(), webhook_url: url.into(), webhook_secret: SECRET.into() };
        let file = self.folder.path().join("connection.json");
        std::fs::write(file, serde_json::to_vec(&connection).unwrap()).unwrap();
    }

    pub fn url(&self, repository: &str) -> String {
        format!("{}/{repository}.git", self.host.url())
    }

    /// A new working copy whose `origin` is this repository.
    pub fn copy(&self, name: &str, repository: &str) -> Copy {
        let copy = Copy { folder: self.folder.path().join(name) };
        std::fs::create_dir_all(&copy.folder).unwrap();
        copy.git(&["init", "--quiet", "--initial-branch=main"]);
        copy.git(&["remote", "add", "origin", &self.url(repository)]);
        copy
    }

    /// Asks for a page below the code host's address.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        let mut request = agent.get(format!("{}{path}", self.host.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.call().unwrap();
        Answer { status: response.status().as_u16(), body: response.body_mut().read_to_vec().unwrap() }
    }

    /// Asks for a page of the API about `team/shop`.
    pub fn api(&self, path: &str) -> Answer {
        self.get(&format!("/api/v3/repos/team/shop/{path}"), &[("authorization", &format!("Bearer {TOKEN}"))])
    }
}

/// A working copy of somebody who pushes.
pub struct Copy {
    pub folder: PathBuf,
}

impl Copy {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(&self.folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Ann Ode").env(format!("GIT_{role}_EMAIL"), "ann@example.com");
            git.env(format!("GIT_{role}_DATE"), "2026-11-26T10:00:00+01:00");
        }
        git.output().unwrap()
    }

    /// Runs Git, which must succeed; returns what it prints on both outputs.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        assert!(output.status.success(), "git {arguments:?}: {said}");
        said
    }

    /// Runs Git, which must fail; returns what it says.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "git {arguments:?} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything; returns the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}
