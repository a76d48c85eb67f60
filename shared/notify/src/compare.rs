//! The page on which a repository's host shows what lies between two commits, made of the addresses of the commits' own pages.
//! Sources: GitHub, 'Comparing commits'; GitLab, 'Compare revisions'; Bitbucket Cloud's own links; CodeCommit user guide,
//! 'Compare branches, tags or commits'.

use engine::Revision;

/// Where two revisions of one repository can be compared; none where their pages do not say so.
#[must_use]
pub fn comparison(from: &Revision, to: &Revision) -> Option<String> {
    let (old, new) = (&from.id, &to.id);
    if old == new {
        return None;
    }
    // What stands between a repository and a commit. GitLab's ends as GitHub's does, so it comes first.
    ["/-/commit/", "/commits/", "/commit/"].into_iter().find_map(|between| {
        let [(repository, rest), other] = [page(from, between)?, page(to, between)?];
        if (repository, rest) != other {
            return None;
        }
        Some(match between {
            "/-/commit/" => format!("{repository}/-/compare/{old}...{new}"),
            "/commits/" => format!("{repository}/branches/compare/{new}..{old}"),
            _ if repository.contains("/codesuite/codecommit/repositories/") => {
                format!("{repository}/compare/{old}/.../{new}{rest}")
            }
            _ => format!("{repository}/compare/{old}...{new}"),
        })
    })
}

/// A commit's page without the commit: what stands before it, and what behind.
fn page<'a>(revision: &'a Revision, between: &str) -> Option<(&'a str, &'a str)> {
    let url = revision.url.as_deref().filter(|url| url.starts_with("https://"))?;
    url.split_once(&format!("{between}{}", revision.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(id: &str, page: &str) -> Revision {
        Revision { id: id.into(), summary: None, url: Some(page.replace('*', id)), created: None, change: None }
    }

    #[test]
    fn two_commits_of_one_repository_can_be_compared_where_their_host_shows_it() {
        for (page, expected) in [
            ("https://github.com/acme/shop/commit/*", "https://github.com/acme/shop/compare/a1...b2"),
            ("https://gitlab.com/acme/shop/-/commit/*", "https://gitlab.com/acme/shop/-/compare/a1...b2"),
            ("https://bitbucket.org/acme/shop/commits/*", "https://bitbucket.org/acme/shop/branches/compare/b2..a1"),
            (
                "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/shop/commit/*?region=eu-west-1",
                "https://eu-west-1.console.aws.amazon.com/codesuite/codecommit/repositories/shop/compare/a1/.../b2?region=eu-west-1",
            ),
        ] {
            assert_eq!(comparison(&revision("a1", page), &revision("b2", page)).as_deref(), Some(expected));
            assert_eq!(comparison(&revision("a1", page), &revision("a1", page)), None);
        }
    }

    #[test]
    fn what_is_no_pair_of_commits_has_no_comparison() {
        let here = revision("a1", "https://github.com/acme/shop/commit/*");
        for page in [
            "https://github.com/acme/other/commit/*",
            "http://github.com/acme/shop/commit/*",
            "javascript:alert(1)//acme/shop/commit/*",
            "https://s3.console.aws.amazon.com/s3/object/shop?prefix=app.zip&versionId=*",
        ] {
            assert_eq!(comparison(&here, &revision("b2", page)), None, "{page}");
        }
        let unknown = Revision { url: None, ..revision("b2", "") };
        assert_eq!(comparison(&here, &unknown), None);
    }
}
