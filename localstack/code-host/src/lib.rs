//! A code host for a laptop: repositories that `git push` reaches, and as much of GitHub's REST API and webhooks as a pipeline
//! with a source at GitHub Enterprise Server needs.
//!
//! No emulator has a code host. This server keeps bare repositories in a folder and serves them by Git's own `git http-backend`.
//! The first push to `http://127.0.0.1:PORT/OWNER/NAME.git` creates the repository. After a push, Git's `post-receive` hook sends
//! what GitHub would deliver to the connection's webhook, signed with its secret, and tells whoever pushed how that was answered.
//!
//! | what | where |
//! |---|---|
//! | Git's smart HTTP protocol | `/OWNER/NAME.git` |
//! | GitHub's API: 'Get a commit', 'Download a repository archive (zip)', 'Compare two commits' | `/api/v3/repos/OWNER/NAME/...`, with the connection's token |
//! | a commit for people, as text | `/OWNER/NAME/commit/ID` |
//!
//! | what differs from GitHub | |
//! |---|---|
//! | who may push | whoever can connect to 127.0.0.1: there are no users |
//! | webhooks | one for all repositories, for the event `push`, and without a first `ping` |
//! | names | in lower case |
//! | not done | pull requests, statuses, pages of the API, Git LFS |
//!
//! It listens on this machine's loopback address only, and answers no request under another host's name and none of another
//! origin's pages: a web page could otherwise push, and so start pipelines. No shell ever sees what a request says.
//!
//! The command is `code-host --root FOLDER --connection FILE [--port PORT]`. The crate `local` starts it beside either emulator.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod api;
mod connection;
mod delivery;
mod guard;
mod hook;
mod http_backend;
mod reply;
mod repository;
mod server;

pub use connection::Connection;
pub use hook::{POST_RECEIVE, post_receive};
pub use repository::{git, repository_folder};
pub use server::{REPOSITORIES, Server, Settings};
