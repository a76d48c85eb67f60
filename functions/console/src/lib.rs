//! Function `console`: pages that show every pipeline and let a person act.
//!
//! It reads the table, and makes links to badges; its role may do no more. Whatever a person does on a page is a call of CodePipeline's own
//! API by the page's script, signed as that person by `millrace proxy`, through which alone the console is reached. So there is no
//! second way to change anything, and policies on operations and pipelines hold for buttons as well.
//!
//! - [`Console`]: from a request to a page, or to the news that nothing has changed.
//! - `board`: what stands and runs in a pipeline, read together, with the version of all of it.
//! - `shelf`: the same for a page of pipelines.
//! - `recent`: what ran in pipelines lately.
//! - `standing`: what executions wait for that have not ended.
//! - `change`: revisions and triggers in words; statuses are the crate `pictures`' `states`.
//! - `check`, `place`: everything that is wrong with a definition, each fault at its place in the text.
//! - `screens`: one file for each page; `flow` draws the stages, `acts` are the buttons.
//! - `script.js`: keeps the page up to date, and asks before it acts; `editor.js`, only behind it on its page: the editor.
//!
//! **Up to date.** The script asks for the page again every two seconds while it is visible, and names the version that it
//! shows. A version is made of the revisions of the items that a page is made of. They are read first, in two batches by key;
//! if none has changed, that is the answer (304), and nothing is rendered or sent.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod address;
mod board;
mod change;
mod check;
mod handler;
mod place;
mod recent;
mod screens;
mod shelf;
mod standing;
mod trouble;
mod version;

pub use handler::{Answer, Asked, Console, Public, SCRIPT};
