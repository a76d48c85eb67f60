//! Projects and builds in memory, and what may be asked of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_codebuild::operation::start_build::StartBuildInput;
use aws_sdk_codebuild::types::{Build, BuildPhaseType, Project, SortOrderType};
use uuid::Uuid;

use crate::error::{ApiError, Exception};
use crate::plan::{Names, Plan};
use crate::projects::invalid;
use crate::record::Record;
use crate::server::Caller;

/// How long a token stands for the build that it has started. Source: CodeBuild API, `StartBuild`, `idempotencyToken`.
const TOKENS_LAST: Duration = Duration::from_secs(300);
/// Names or ids in one page or call.
pub(crate) const PAGE: usize = 100;

/// A build and where it belongs.
#[derive(Debug)]
struct Entry {
    region: String,
    project: String,
    id: String,
    record: Arc<Record>,
}

/// A token's build, and what was asked for with it.
#[derive(Debug)]
struct Token {
    at: Instant,
    input: StartBuildInput,
    record: Arc<Record>,
}

/// Region and name of a project.
type ProjectKey = (String, String);

#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub projects: BTreeMap<ProjectKey, Project>,
    /// The oldest first.
    builds: Vec<Entry>,
    numbers: HashMap<ProjectKey, i64>,
    tokens: HashMap<(ProjectKey, String), Token>,
}

/// The name of a project that is named so, or by its ARN.
pub(crate) fn project_name(name: &str) -> &str {
    name.rsplit_once(":project/").map_or(name, |(_, name)| name)
}

/// `project:uuid` of a build that is named so, or by its ARN.
fn build_id(id: &str) -> &str {
    id.rsplit_once(":build/").map_or(id, |(_, id)| id)
}

impl Registry {
    pub(crate) fn project(&self, region: &str, name: &str) -> Result<&Project, ApiError> {
        self.projects.get(&(region.to_owned(), project_name(name).to_owned())).ok_or_else(|| {
            Exception::ResourceNotFoundException.because(format!("Project cannot be found: {name} ({region})"))
        })
    }

    /// A new build, which the caller must run; or the build that the token has started already.
    pub(crate) fn start(
        &mut self,
        caller: &Caller,
        account: &str,
        input: StartBuildInput,
    ) -> Result<(Arc<Record>, Option<Plan>), ApiError> {
        let named = input.project_name.as_deref().unwrap_or_default();
        let project = self.project(&caller.region, named)?.clone();
        let key = (caller.region.clone(), project_name(named).to_owned());
        self.tokens.retain(|_, token| token.at.elapsed() < TOKENS_LAST);
        let token = input.idempotency_token.clone().map(|token| (key.clone(), token));
        if let Some(known) = token.as_ref().and_then(|token| self.tokens.get(token)) {
            if known.input != input {
                return Err(invalid("The idempotencyToken was used with other parameters"));
            }
            return Ok((Arc::clone(&known.record), None));
        }
        let number = self.numbers.entry(key.clone()).or_default();
        let names = Names {
            region: caller.region.clone(),
            account: account.to_owned(),
            uuid: Uuid::new_v4().to_string(),
            number: *number + 1,
            initiator: caller.access_key.clone(),
        };
        let plan = Plan::new(&project, input.clone(), names)?;
        *number += 1;
        let record = Arc::new(Record::new(plan.build(&project)));
        record.begin(BuildPhaseType::Submitted);
        let (region, project) = key;
        self.builds.push(Entry { region, project, id: plan.id.clone(), record: Arc::clone(&record) });
        if let Some(token) = token {
            self.tokens.insert(token, Token { at: Instant::now(), input, record: Arc::clone(&record) });
        }
        Ok((record, Some(plan)))
    }

    pub(crate) fn record(&self, region: &str, id: &str) -> Option<&Arc<Record>> {
        let wanted = build_id(id);
        self.builds.iter().find(|it| it.id == wanted && it.region == region).map(|it| &it.record)
    }

    /// Found builds, and the ids of those that are not there.
    pub(crate) fn get(&self, region: &str, ids: Vec<String>) -> (Vec<Build>, Vec<String>) {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match self.record(region, &id) {
                Some(record) => found.push(record.build()),
                None => missing.push(id),
            }
        }
        (found, missing)
    }

    /// Ids of builds, of one project or of all, the newest first unless told otherwise.
    pub(crate) fn ids(&self, region: &str, project: Option<&str>, order: Option<&SortOrderType>) -> Vec<String> {
        let wanted = |it: &&Entry| it.region == region && project.is_none_or(|project| it.project == project);
        let mut ids: Vec<_> = self.builds.iter().filter(wanted).map(|it| it.id.clone()).collect();
        if order != Some(&SortOrderType::Ascending) {
            ids.reverse();
        }
        ids
    }

    pub(crate) fn stop_all(&self) {
        for build in &self.builds {
            build.record.stop.cancel();
        }
    }
}

/// A page of a list, after the name in `token`. New names before that one do not move the page.
pub(crate) fn page(all: Vec<String>, token: Option<&str>) -> Result<(Vec<String>, Option<String>), ApiError> {
    let start = match token.filter(|it| !it.is_empty()) {
        None => 0,
        Some(token) => {
            let at = all.iter().position(|it| it == token).ok_or_else(|| invalid("Invalid nextToken"))?;
            at + 1
        }
    };
    let page: Vec<String> = all[start..].iter().take(PAGE).cloned().collect();
    let more = start + page.len() < all.len();
    let next = page.last().filter(|_| more).cloned();
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another() {
        let all: Vec<String> = (0..250).map(|it| it.to_string()).collect();
        let (first, token) = page(all.clone(), None).unwrap();
        assert_eq!((first.len(), token.as_deref()), (100, Some("99")));
        let (second, token) = page(all.clone(), token.as_deref()).unwrap();
        assert_eq!((second[0].as_str(), token.as_deref()), ("100", Some("199")));
        let (third, token) = page(all.clone(), token.as_deref()).unwrap();
        assert_eq!((third.len(), token), (50, None));
        assert!(page(all, Some("x")).is_err());
    }

    #[test]
    fn arns_name_projects_and_builds() {
        assert_eq!(project_name("arn:aws:codebuild:eu-west-1:000000000000:project/app"), "app");
        assert_eq!(build_id("arn:aws:codebuild:eu-west-1:000000000000:build/app:1"), "app:1");
        assert_eq!((project_name("app"), build_id("app:1")), ("app", "app:1"));
    }
}
