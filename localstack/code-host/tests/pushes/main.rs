//! Real pushes by the real Git: what the code host keeps, what its API says of it, and what it delivers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use std::io::{Cursor, Read};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use world::{Delivery, SECRET, World};

/// The only delivery that has come, whose signature must be right.
fn delivered(world: &World) -> (Delivery, Value) {
    let taken = world.door.taken();
    let [delivery] = taken.as_slice() else { panic!("{} deliveries", taken.len()) };
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(&delivery.body);
    let digits = hex::encode(mac.finalize().into_bytes());
    assert_eq!(delivery.header("x-hub-signature-256"), format!("sha256={digits}"));
    assert_eq!((delivery.header("x-github-event"), delivery.header("content-type")), ("push", "application/json"));
    let body = delivery.json();
    (delivery.clone(), body)
}

#[test]
fn what_is_pushed_can_be_cloned_and_is_delivered_as_github_would() {
    let world = World::new();
    let copy = world.copy("ann", "Team/Shop");
    copy.write("read me.txt", "one");
    copy.write("src/ä.rs", "fn main() {}");
    let one = copy.commit("First things first\n\nA\n\nD 0 ' $(reboot) `x`");
    let said = copy.git(&["push", "origin", "main"]);
    assert!(said.contains("remote: main: delivered as ") && said.contains("answered 200 Accepted."), "{said}");
    let (delivery, body) = delivered(&world);
    assert_eq!(delivery.header("x-github-delivery"), body["delivery"]);
    let zeros = "0".repeat(40);
    assert_eq!(
        (&body["ref"], &body["before"], &body["after"]),
        (&json!("refs/heads/main"), &json!(zeros), &json!(one))
    );
    assert_eq!((&body["created"], &body["deleted"], &body["forced"]), (&json!(true), &json!(false), &json!(false)));
    assert_eq!(body["repository"]["full_name"], "team/shop");
    let head = &body["head_commit"];
    assert_eq!((&head["id"], &head["author"]["name"]), (&json!(one), &json!("Ann Ode")));
    assert_eq!(head["message"], "First things first\n\nA\n\nD 0 ' $(reboot) `x`");
    assert_eq!(head["added"], json!(["read me.txt", "src/ä.rs"]));
    assert_eq!(head["timestamp"], "2026-11-26T10:00:00+01:00");

    // Somebody else clones it, whatever the capitals, and pushes two commits, the second of which merges a branch.
    let clone = world.folder.path().join("bob");
    copy.git(&["clone", "--quiet", &world.url("TEAM/shop"), clone.to_str().unwrap()]);
    let bob = world::Copy { folder: clone };
    bob.git(&["checkout", "--quiet", "-b", "side"]);
    bob.write("docs/a", "a");
    bob.commit("Docs");
    bob.git(&["checkout", "--quiet", "main"]);
    bob.git(&["rm", "--quiet", "read me.txt"]);
    bob.write("src/ä.rs", "fn main() { run() }");
    bob.commit("Change");
    bob.git(&["merge", "--quiet", "--no-edit", "side"]);
    let merged = bob.git(&["rev-parse", "HEAD"]);
    bob.git(&["push", "origin", "main"]);
    let (_, body) = delivered(&world);
    assert_eq!((&body["before"], &body["after"]), (&json!(one), &json!(merged)));
    let commits = body["commits"].as_array().unwrap();
    let of = |message: &str| commits.iter().find(|it| it["message"] == message).unwrap();
    assert_eq!(commits.len(), 3);
    assert_eq!(of("Docs")["added"], json!(["docs/a"]));
    assert_eq!((&of("Change")["removed"], &of("Change")["modified"]), (&json!(["read me.txt"]), &json!(["src/ä.rs"])));
    assert_eq!(body["head_commit"]["added"], json!(["docs/a"]), "against its first parent");

    // A branch that is set back, a tag with a text of its own, and a branch that goes.
    bob.git(&["reset", "--quiet", "--hard", &one]);
    bob.write("other", "other");
    let other = bob.commit("Another way");
    bob.git(&["push", "--force", "origin", "main"]);
    let (_, body) = delivered(&world);
    assert_eq!((&body["forced"], &body["before"], &body["after"]), (&json!(true), &json!(merged), &json!(other)));
    bob.git(&["tag", "--annotate", "--message", "The first", "v1"]);
    bob.git(&["push", "origin", "v1"]);
    let (_, body) = delivered(&world);
    assert_eq!((&body["ref"], &body["head_commit"]["id"]), (&json!("refs/tags/v1"), &json!(other)));
    assert_ne!(body["after"], other, "the tag itself");
    bob.git(&["push", "origin", "main:team/feature"]);
    assert_eq!(delivered(&world).1["ref"], "refs/heads/team/feature");
    bob.git(&["push", "origin", "--delete", "team/feature"]);
    let (_, body) = delivered(&world);
    assert_eq!((&body["deleted"], &body["after"], &body["head_commit"]), (&json!(true), &json!(zeros), &json!(null)));

    // What GitHub tells nobody of: other references, and very many tags.
    bob.git(&["push", "origin", "main:refs/notes/x"]);
    for tag in ["a", "b", "c", "d"] {
        bob.git(&["tag", tag]);
    }
    let said = bob.git(&["push", "origin", "--tags"]);
    assert!(said.contains("more than 3 tags"), "{said}");
    assert!(world.door.taken().is_empty());
}

#[test]
fn large_pushes_come_through() {
    let world = World::new();
    let copy = world.copy("ann", "team/shop");
    // More than Git sends in one piece, and nothing that it could make smaller.
    let mut seed = 1_u32;
    let noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    let content: Vec<u8> = std::iter::repeat_with(noise).take(3 << 20).collect();
    copy.write("large", &content);
    copy.commit("Large");
    copy.git(&["push", "origin", "main"]);
    let clone = world.folder.path().join("clone");
    copy.git(&["clone", "--quiet", &world.url("team/shop"), clone.to_str().unwrap()]);
    assert!(std::fs::read(clone.join("large")).unwrap() == content);
}

#[test]
fn the_api_says_of_a_commit_what_sources_read() {
    let world = World::new();
    assert_eq!(world.api("commits/heads/main").status, 404);
    let copy = world.copy("ann", "team/shop");
    copy.write("old name", "a long enough text that is kept when the file gets another name");
    copy.write("bin/run", "#!/bin/sh\n");
    let one = copy.commit("One");
    copy.git(&["mv", "old name", "new name"]);
    copy.write("added", "x");
    let two = copy.commit("Two\n\nwith a body");
    copy.git(&["push", "origin", "main", "main:team/feature"]);

    for path in ["commits/heads/main?per_page=1", "commits/heads/team/feature", &format!("commits/{two}")] {
        let answer = world.api(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let commit = answer.json();
        assert_eq!(commit["sha"], two);
        assert_eq!(commit["html_url"], format!("{}/team/shop/commit/{two}", world.host.url()));
        assert_eq!(commit["commit"]["message"], "Two\n\nwith a body");
        let ann = json!({"name": "Ann Ode", "email": "ann@example.com", "date": "2026-11-26T10:00:00+01:00"});
        assert_eq!((&commit["commit"]["author"], &commit["commit"]["committer"]), (&ann, &ann));
    }
    let page = world.get(&format!("/team/shop/commit/{two}"), &[("sec-fetch-site", "same-site")]);
    assert!(page.status == 200 && page.text().contains("with a body"), "{} {}", page.status, page.text());

    let archive = world.api(&format!("zipball/{one}"));
    let mut zip = zip::ZipArchive::new(Cursor::new(archive.body)).unwrap();
    let mut file = zip.by_name(&format!("team-shop-{}/bin/run", &one[..7])).unwrap();
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    assert_eq!(content, "#!/bin/sh\n");

    let compared = world.api(&format!("compare/{one}...{two}?per_page=100&page=1")).json();
    assert_eq!(
        compared["files"],
        json!([
            {"filename": "added", "status": "added"},
            {"filename": "new name", "status": "renamed", "previous_filename": "old name"},
        ])
    );

    for path in ["commits/heads/none", &format!("commits/{}", "1".repeat(40)), "commits/--all", "zipball/main"] {
        assert_eq!(world.api(path).status, 422, "{path}");
    }
    for path in ["commits", "pulls/1/files", "compare/x", ""] {
        assert_eq!(world.api(path).status, 404, "{path}");
    }
    for wrong in ["Bearer wrong", "Basic t0ken", ""] {
        let answer = world.get("/api/v3/repos/team/shop/commits/heads/main", &[("authorization", wrong)]);
        assert_eq!(answer.status, 401, "{wrong}");
    }
}

#[test]
fn a_delivery_is_tried_again_and_whoever_pushed_hears_what_became_of_it() {
    let world = World::new();
    let copy = world.copy("ann", "team/shop");
    copy.commit("One");
    world.door.answer_next(&[503, 502]);
    let said = copy.git(&["push", "origin", "main"]);
    assert!(said.contains("answered 200"), "{said}");
    let taken = world.door.taken();
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|it| it.body == taken[0].body), "each time the same");

    copy.commit("Two");
    world.door.answer_next(&[403]);
    let said = copy.git(&["push", "origin", "main"]);
    assert!(said.contains("was refused with 403 No."), "{said}");
    assert_eq!(world.door.taken().len(), 1);

    world.connect("http://127.0.0.1:1/hook");
    copy.commit("Three");
    let said = copy.git(&["push", "origin", "main"]);
    assert!(said.contains("could not be delivered: nobody answers at http://127.0.0.1:1/hook"), "{said}");
    std::fs::remove_file(world.folder.path().join("connection.json")).unwrap();
    copy.commit("Four");
    let said = copy.git(&["push", "origin", "main"]);
    assert!(said.contains("delivered to nobody yet"), "{said}");
    assert_eq!(world.api("commits/heads/main").status, 503);
    let log = std::fs::read_to_string(world.folder.path().join("host/deliveries.log")).unwrap();
    assert_eq!(log.lines().count(), 4);
    assert!(log.contains(" team/shop main: the delivery ") && !log.contains(SECRET), "{log}");
}

#[test]
fn names_and_callers_that_are_none_get_nothing() {
    let world = World::new();
    let copy = world.copy("ann", "team/shop");
    copy.commit("One");
    for bad in ["../shop", "team/..", "team/.git", "team/a%20b", "team/a%2f..%2fb", "team/$(reboot)", "team"] {
        copy.git(&["remote", "set-url", "origin", &world.url(bad)]);
        let said = copy.refused(&["push", "origin", "main"]);
        assert!(said.contains("error: 400") || said.contains("not found"), "{bad}: {said}");
    }
    copy.git(&["remote", "set-url", "origin", &world.url("team/none")]);
    let said = copy.refused(&["fetch", "origin"]);
    assert!(said.contains("The first push to it creates it"), "{said}");
    let folder = world.folder.path().join("host/repositories");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing was created");

    let refs = "/team/shop.git/info/refs?service=git-receive-pack";
    let foreign = [("host", "evil.example"), ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    for header in foreign {
        assert_eq!(world.get(refs, &[header]).status, 403, "{header:?}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing was created for them");
    copy.git(&["push", &world.url("team/shop"), "main"]);
    for path in ["/team/shop.git/info/refs", "/team/shop.git/config", "/team/shop.git/HEAD", "/", "/team/shop/commit/x"]
    {
        assert!([403, 404].contains(&world.get(path, &[]).status), "{path}");
    }
    assert_eq!(world.door.taken().len(), 1);
}
