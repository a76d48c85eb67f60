//! As much of GitHub's REST API as sources of pipelines call, and the page of a commit. Source: GitHub REST API, 'Get a
//! commit', 'Download a repository archive (zip)', 'Compare two commits'.

use anyhow::Result;
use serde_json::{Value, json};

use crate::reply::Reply;
use crate::repository::{Commit, Person, Repository};

/// Most files of a comparison. Source: 'Compare two commits'.
const COMPARED: usize = 300;

/// A repository and the server's address, without a slash at its end.
pub(crate) struct Api<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) url: &'a str,
}

impl Api<'_> {
    /// Answers `GET /repos/OWNER/NAME/...`; `rest` is what follows, between slashes.
    pub(crate) fn get(&self, rest: &[&str]) -> Result<Reply> {
        match rest {
            ["commits", "heads", branch @ ..] if !branch.is_empty() => {
                let branch = branch.join("/");
                match self.repository.resolve(&format!("refs/heads/{branch}"))? {
                    Some(id) => self.commit(&id),
                    None => Ok(Reply::message(422, &format!("No commit found for SHA: heads/{branch}"))),
                }
            }
            ["commits", id] => self.with(id, |id| self.commit(id)),
            ["zipball", id] => self.with(id, |id| self.zip(id)),
            ["compare", range] => {
                let Some((from, to)) = range.split_once("...") else { return Ok(Reply::message(404, "Not Found")) };
                self.with(from, |from| self.with(to, |to| self.compare(from, to)))
            }
            _ => Ok(Reply::message(404, "Not Found")),
        }
    }

    /// The page of a commit for people.
    pub(crate) fn page(&self, id: &str) -> Result<Reply> {
        let shown = match is_id(id) {
            true => self.repository.shown(id)?,
            false => None,
        };
        Ok(match shown {
            Some(text) => Reply::text(200, text),
            None => Reply::text(404, "There is no such commit."),
        })
    }

    /// Answers with what is there of a commit, if that is one.
    fn with(&self, id: &str, answer: impl FnOnce(&str) -> Result<Reply>) -> Result<Reply> {
        let found = match is_id(id) {
            true => self.repository.resolve(id)?,
            false => None,
        };
        match found {
            Some(id) => answer(&id),
            None => Ok(Reply::message(422, &format!("No commit found for SHA: {id}"))),
        }
    }

    fn commit(&self, id: &str) -> Result<Reply> {
        let Some(commit) = self.repository.commit(id)? else { return Ok(Reply::message(404, "Not Found")) };
        let person = |it: &Person| json!({"name": it.name, "email": it.email, "date": it.date});
        let Commit { id, tree, author, committer, message, .. } = &commit;
        Ok(Reply::json(
            200,
            &json!({
                "sha": id,
                "url": format!("{}/api/v3/repos/{}/commits/{id}", self.url, self.repository.name),
                "html_url": self.html_url(id),
                "commit": {"message": message, "author": person(author), "committer": person(committer), "tree": {"sha": tree}},
                // Nobody has an account.
                "author": null, "committer": null,
            }),
        ))
    }

    pub(crate) fn html_url(&self, id: &str) -> String {
        format!("{}/{}/commit/{id}", self.url, self.repository.name)
    }

    fn zip(&self, id: &str) -> Result<Reply> {
        let file = tempfile::tempfile()?;
        let name = &self.repository.name;
        let short = id.get(..7).unwrap_or(id);
        self.repository.zip(id, &format!("{}-{}-{short}", name.owner, name.name), &file)?;
        Reply::file("application/zip", file)
    }

    fn compare(&self, from: &str, to: &str) -> Result<Reply> {
        let files: Vec<Value> = self
            .repository
            .differences(from, to)?
            .into_iter()
            .take(COMPARED)
            .map(|(status, path, previous)| {
                let status = match status {
                    'A' => "added",
                    'D' => "removed",
                    'R' => "renamed",
                    'C' => "copied",
                    _ => "modified",
                };
                let mut file = json!({"filename": path, "status": status});
                if let Some(previous) = previous {
                    file["previous_filename"] = previous.into();
                }
                file
            })
            .collect();
        Ok(Reply::json(200, &json!({"files": files})))
    }
}

/// Whether a text can be the id of a commit, whole or its beginning: nothing else is given to Git.
fn is_id(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}
