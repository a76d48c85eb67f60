//! What every twin must do. Each case gets an empty store of its own.

use engine::{ExecutionId, ExternalId, StageStatus, Timestamp};
use store::{
    ChangeOrigin, DUE_SHARDS, Entity, Expect, Key, Listing, MOST_WRITES, Page, Store, StoreError, Versioned, Write,
};

use crate::samples::{
    action_type, all, declaration, execution, external_id, head, id, incarnation, job, locks, name, outputs, source,
    stage, token, webhook,
};

pub async fn run<S: Store>(fresh: impl AsyncFn() -> S) {
    macro_rules! cases {
        ($($case:ident)*) => { $(
            eprintln!("case {}", stringify!($case));
            $case(&fresh().await).await;
        )* };
    }
    cases! {
        every_kind_comes_back absent_means_absent revisions_count any_takes_everything deletes_have_conditions
        all_or_nothing a_transaction_counts_revisions one_of_many_writers_wins refusals_change_nothing
        load_keeps_the_order_of_keys more_than_one_answer_can_hold
        pipelines_are_listed_by_name executions_newest_first stages_only_of_their_execution sources_of_what_is_watched
        webhooks_are_listed_by_name types_of_an_owner jobs_of_a_queue_oldest_first
        a_long_listing_has_pages_of_any_size cursors_of_others_are_refused
        due_in_order due_ends_with_the_work locks_with_and_without_outbox tombstones_stay tokens_are_remembered the_last_start_under_an_external_id_counts
    }
}

fn put(entity: Entity, expect: Expect) -> Write {
    Write::Put { entity, expect }
}

fn delete(key: Key, expect: Expect) -> Write {
    Write::Delete { key, expect }
}

async fn create(store: &impl Store, entity: Entity) {
    store.commit(vec![put(entity, Expect::Absent)]).await.unwrap();
}

async fn get(store: &impl Store, key: Key) -> Option<Versioned> {
    store.load(&[key]).await.unwrap().remove(0)
}

fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>, about: &str) {
    assert!(matches!(&result, Err(StoreError::Conflict(what)) if what.contains(about)), "{about}: {result:?}");
}

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, about: &str) {
    assert!(matches!(&result, Err(StoreError::Refused(why)) if why.contains(about)), "{about}: {result:?}");
}

async fn every_kind_comes_back(store: &impl Store) {
    for entity in all() {
        create(store, entity.clone()).await;
        assert_eq!(get(store, entity.key()).await, Some(Versioned { revision: 1, entity }));
    }
}

async fn absent_means_absent(store: &impl Store) {
    create(store, Entity::Head(head("a"))).await;
    let second = store.commit(vec![put(Entity::Head(head("a")), Expect::Absent)]).await;
    conflict(second, "P#a/HEAD");
    assert_eq!(get(store, Key::Head(name("b"))).await, None);
    conflict(store.commit(vec![put(Entity::Head(head("b")), Expect::Revision(1))]).await, "P#b/HEAD");
    assert_eq!(get(store, Key::Head(name("b"))).await, None);
}

async fn revisions_count(store: &impl Store) {
    create(store, Entity::Head(head("a"))).await;
    for revision in 1..4 {
        let mut next = head("a");
        next.version = 100 + revision as u32;
        store.commit(vec![put(Entity::Head(next.clone()), Expect::Revision(revision))]).await.unwrap();
        let now = Versioned { revision: revision + 1, entity: Entity::Head(next) };
        assert_eq!(get(store, Key::Head(name("a"))).await, Some(now));
    }
    for stale in [0, 1, 3, 5] {
        conflict(store.commit(vec![put(Entity::Head(head("a")), Expect::Revision(stale))]).await, "P#a/HEAD");
    }
    assert_eq!(get(store, Key::Head(name("a"))).await.unwrap().revision, 4);
}

async fn any_takes_everything(store: &impl Store) {
    let written = Entity::Source(source("s3/b/k", "a", "Fetch"));
    for revision in 1..4 {
        store.commit(vec![put(written.clone(), Expect::Any)]).await.unwrap();
        assert_eq!(get(store, written.key()).await.unwrap().revision, revision);
    }
    // In a transaction as well, and it counts on from what others wrote.
    let other = Entity::Head(head("a"));
    store.commit(vec![put(written.clone(), Expect::Any), put(other, Expect::Absent)]).await.unwrap();
    assert_eq!(get(store, written.key()).await, Some(Versioned { revision: 4, entity: written }));
}

async fn deletes_have_conditions(store: &impl Store) {
    let key = Key::Head(name("a"));
    store.commit(vec![delete(key.clone(), Expect::Any)]).await.unwrap();
    conflict(store.commit(vec![delete(key.clone(), Expect::Revision(1))]).await, "P#a/HEAD");
    create(store, Entity::Head(head("a"))).await;
    conflict(store.commit(vec![delete(key.clone(), Expect::Revision(2))]).await, "P#a/HEAD");
    conflict(store.commit(vec![delete(key.clone(), Expect::Absent)]).await, "P#a/HEAD");
    assert!(get(store, key.clone()).await.is_some());
    store.commit(vec![delete(key.clone(), Expect::Revision(1))]).await.unwrap();
    assert_eq!(get(store, key.clone()).await, None);
    // What is written after a removal is new.
    create(store, Entity::Head(head("a"))).await;
    assert_eq!(get(store, key.clone()).await.unwrap().revision, 1);
    store.commit(vec![delete(key.clone(), Expect::Any)]).await.unwrap();
    assert_eq!(get(store, key).await, None);
}

async fn all_or_nothing(store: &impl Store) {
    create(store, Entity::Head(head("a"))).await;
    let writes = |stale| {
        vec![
            put(Entity::Declaration(declaration("a", 1)), Expect::Absent),
            put(Entity::Head(head("a")), Expect::Revision(stale)),
            put(Entity::Source(source("s3/b/k", "a", "Fetch")), Expect::Any),
            delete(Key::Execution(id(1)), Expect::Any),
        ]
    };
    conflict(store.commit(writes(7)).await, "P#a/HEAD");
    let keys: Vec<Key> = writes(7).iter().map(Write::key).collect();
    let seen = |found: Vec<Option<Versioned>>| -> Vec<u64> {
        found.iter().map(|it| it.as_ref().map_or(0, |it| it.revision)).collect()
    };
    assert_eq!(seen(store.load(&keys).await.unwrap()), [0, 1, 0, 0]);
    store.commit(writes(1)).await.unwrap();
    assert_eq!(seen(store.load(&keys).await.unwrap()), [1, 2, 1, 0]);
    // A removal's condition guards all others, too.
    let guarded = vec![
        put(Entity::Head(head("b")), Expect::Absent),
        delete(Key::Declaration(name("a"), incarnation(1), 1), Expect::Revision(2)),
    ];
    conflict(store.commit(guarded).await, "P#a/V#");
    assert_eq!(get(store, Key::Head(name("b"))).await, None);
    store.commit(Vec::new()).await.unwrap();
}

async fn a_transaction_counts_revisions(store: &impl Store) {
    for revision in 0..3 {
        let expect = if revision == 0 { Expect::Absent } else { Expect::Revision(revision) };
        let writes = (0..MOST_WRITES).map(|n| put(Entity::Head(head(&format!("p{n:02}"))), expect)).collect();
        store.commit(writes).await.unwrap();
    }
    let keys: Vec<Key> = (0..MOST_WRITES).map(|n| Key::Head(name(&format!("p{n:02}")))).collect();
    assert!(store.load(&keys).await.unwrap().iter().all(|found| found.as_ref().unwrap().revision == 3));
}

async fn one_of_many_writers_wins(store: &impl Store) {
    create(store, Entity::Head(head("a"))).await;
    let writers = (0..20).map(|n| {
        let mut mine = head("a");
        mine.version = n;
        let mut writes = vec![put(Entity::Head(mine), Expect::Revision(1))];
        // Half of them write one item, half a transaction.
        if n % 2 == 0 {
            writes.push(put(Entity::Head(head(&format!("w{n}"))), Expect::Absent));
        }
        async move { (n, store.commit(writes).await) }
    });
    let results = futures::future::join_all(writers).await;
    let won: Vec<u32> = results.iter().filter(|(_, result)| result.is_ok()).map(|(n, _)| *n).collect();
    // On AWS all may lose to one another; then nothing may have changed.
    assert!(won.len() <= 1, "{results:?}");
    for (_, result) in results.iter().filter(|(_, result)| result.is_err()) {
        conflict(result.clone(), "P#a/HEAD");
    }
    let found = get(store, Key::Head(name("a"))).await.unwrap();
    let Entity::Head(kept) = found.entity else { panic!("{found:?}") };
    assert_eq!(found.revision, 1 + won.len() as u64);
    assert_eq!(kept.version, won.first().copied().unwrap_or(head("a").version));
}

async fn refusals_change_nothing(store: &impl Store) {
    let large = |n, bytes| Entity::Outputs(outputs(id(1), n, bytes));
    let result = store.commit(vec![put(large(0, 410_000), Expect::Absent)]).await;
    refused(result.clone(), "OUTPUTS");
    refused(result, "409600");
    let both = vec![put(Entity::Head(head("a")), Expect::Absent), put(large(0, 410_000), Expect::Absent)];
    refused(store.commit(both).await, "OUTPUTS");
    let twice = vec![put(Entity::Head(head("a")), Expect::Absent), delete(Key::Head(name("a")), Expect::Any)];
    refused(store.commit(twice).await, "P#a/HEAD");
    let many = (0..=MOST_WRITES).map(|n| put(Entity::Head(head(&format!("p{n}"))), Expect::Absent)).collect();
    refused(store.commit(many).await, &format!("{} writes", MOST_WRITES + 1));
    assert_eq!(get(store, Key::Head(name("a"))).await, None);
    assert_eq!(store.list(&Listing::Pipelines, None, 100).await.unwrap(), Page::default());
    // The largest that fits does fit.
    // The longest ARN of a caller has about 600 characters.
    let origin = ChangeOrigin { caller: "a".repeat(1_000), source: Some("::".into()), request: "r".repeat(36) };
    origin.scope(create(store, large(0, 407_500))).await;
    let heavy = (1..=MOST_WRITES).map(|n| put(large(n, 407_500), Expect::Absent)).collect();
    // Nobody signs on an emulator.
    let unsigned = ChangeOrigin { caller: String::new(), source: Some("::".into()), request: "r".into() };
    unsigned.scope(store.commit(heavy)).await.unwrap();
    assert_eq!(get(store, large(0, 0).key()).await.unwrap().entity, large(0, 407_500));
    assert_eq!(get(store, large(MOST_WRITES, 0).key()).await.unwrap().entity, large(MOST_WRITES, 407_500));
}

async fn load_keeps_the_order_of_keys(store: &impl Store) {
    let at = |n: u64| Key::Execution(id(n));
    for n in [1, 2, 3] {
        create(store, Entity::Execution(execution("a", n))).await;
    }
    let numbers = |found: Vec<Option<Versioned>>| -> Vec<u64> {
        let number = |it: Versioned| match it.entity {
            Entity::Execution(it) => it.number,
            other => panic!("{other:?}"),
        };
        found.into_iter().map(|it| it.map_or(0, number)).collect()
    };
    assert_eq!(numbers(store.load(&[]).await.unwrap()), [0; 0]);
    assert_eq!(numbers(store.load(&[at(2), at(2)]).await.unwrap()), [2, 2]);
    let keys = [at(3), at(9), at(1), at(3), at(2), at(8), at(9), at(1)];
    assert_eq!(numbers(store.load(&keys).await.unwrap()), [3, 0, 1, 3, 2, 0, 0, 1]);
}

/// `BatchGetItem` takes 100 keys and answers with 16 MB at most.
async fn more_than_one_answer_can_hold(store: &impl Store) {
    let mut keys = Vec::new();
    for n in 0..250u64 {
        let (execution, action) = (id(1 + n / 50), (n % 50) as usize);
        let bytes = if n < 60 { 300_000 } else { 10 };
        let entity = Entity::Outputs(outputs(execution, action, bytes));
        keys.push(entity.key());
        create(store, entity).await;
    }
    keys.reverse();
    let found = store.load(&keys).await.unwrap();
    let read: Vec<Key> = found.into_iter().map(|found| found.unwrap().entity.key()).collect();
    assert_eq!(read, keys);
}

/// All pages of this size, one after the other.
async fn pages(store: &impl Store, listing: &Listing, size: usize) -> Vec<Vec<Entity>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(listing, after.as_deref(), size).await.unwrap();
        assert!(page.next.is_none() || page.entities.len() == size, "only the last page is short");
        pages.push(page.entities);
        after = page.next;
        if after.is_none() {
            return pages;
        }
    }
}

async fn pipelines_are_listed_by_name(store: &impl Store) {
    for pipeline in ["b", "a.2", "B", "a", "c", "a-1"] {
        create(store, Entity::Head(head(pipeline))).await;
    }
    create(store, Entity::StageLocks(locks("zz", None))).await;
    let names = |page: &Vec<Entity>| -> Vec<String> { page.iter().map(|it| it.key().pair().0.split_off(2)).collect() };
    let found = pages(store, &Listing::Pipelines, 4).await;
    assert_eq!(found.iter().map(names).collect::<Vec<_>>(), [vec!["B", "a", "a-1", "a.2"], vec!["b", "c"]]);
    // A page that is just full is the last one; a removed pipeline is listed no more.
    assert_eq!(pages(store, &Listing::Pipelines, 3).await.len(), 2);
    store.commit(vec![delete(Key::Head(name("a")), Expect::Revision(1))]).await.unwrap();
    assert_eq!(names(&pages(store, &Listing::Pipelines, 10).await[0]), ["B", "a-1", "a.2", "b", "c"]);
    assert_eq!(store.list(&Listing::Pipelines, None, 0).await.unwrap(), Page::default());
    // A cursor holds although its own entity is gone.
    let page = store.list(&Listing::Pipelines, None, 2).await.unwrap();
    store.commit(vec![delete(Key::Head(name("a-1")), Expect::Any)]).await.unwrap();
    let rest = store.list(&Listing::Pipelines, page.next.as_deref(), 10).await.unwrap();
    assert_eq!(names(&rest.entities), ["a.2", "b", "c"]);
}

async fn executions_newest_first(store: &impl Store) {
    for number in 1..=11 {
        create(store, Entity::Execution(execution("a", number))).await;
        create(store, Entity::Stage(stage(id(number), 0, 1, None))).await;
    }
    create(store, Entity::Execution(execution("ab", 50))).await;
    let mut older = execution("a", 60);
    older.incarnation = incarnation(2);
    create(store, Entity::Execution(older)).await;
    let numbers = |page: &Vec<Entity>| -> Vec<u64> {
        let number = |it: &Entity| match it {
            Entity::Execution(it) => it.number,
            other => panic!("{other:?}"),
        };
        page.iter().map(number).collect()
    };
    let listing = Listing::Executions(name("a"), incarnation(1));
    let found: Vec<_> = pages(store, &listing, 4).await.iter().map(numbers).collect();
    assert_eq!(found, [vec![11, 10, 9, 8], vec![7, 6, 5, 4], vec![3, 2, 1]]);
    // What starts between two pages does not move the second one.
    let page = store.list(&listing, None, 4).await.unwrap();
    create(store, Entity::Execution(execution("a", 12))).await;
    let rest = store.list(&listing, page.next.as_deref(), 2).await.unwrap();
    assert_eq!(numbers(&rest.entities), [7, 6]);
    let none = store.list(&Listing::Executions(name("none"), incarnation(1)), None, 4).await.unwrap();
    assert_eq!(none, Page::default());
}

async fn stages_only_of_their_execution(store: &impl Store) {
    let attempts = [(10, 1), (0, 2), (2, 1), (0, 1), (0, 10)];
    for (index, attempt) in attempts {
        create(store, Entity::Stage(stage(id(1), index, attempt, Some(5)))).await;
    }
    create(store, Entity::Stage(stage(id(2), 1, 1, None))).await;
    create(store, Entity::Execution(execution("a", 1))).await;
    create(store, Entity::Outputs(outputs(id(1), 0, 10))).await;
    let keys = |page: &Vec<Entity>| -> Vec<Key> { page.iter().map(Entity::key).collect() };
    let at = |index, attempt| Key::Stage(id(1), index, attempt);
    let found: Vec<_> = pages(store, &Listing::Stages(id(1)), 3).await.iter().map(keys).collect();
    assert_eq!(found, [vec![at(0, 1), at(0, 2), at(0, 10)], vec![at(2, 1), at(10, 1)]]);
}

async fn sources_of_what_is_watched(store: &impl Store) {
    for (watched, pipeline, action) in
        [("s3/b/k", "b", "X"), ("s3/b/k", "a", "Y"), ("s3/b/k", "a", "X"), ("s3/b", "a", "X")]
    {
        create(store, Entity::Source(source(watched, pipeline, action))).await;
    }
    create(store, Entity::Source(source("s3/b/ké #1", "u", "X"))).await;
    let keys = |page: &Vec<Entity>| -> Vec<Key> { page.iter().map(Entity::key).collect() };
    let at = |pipeline: &str, action: &str| Key::Source("s3/b/k".into(), name(pipeline), action.into());
    let found: Vec<_> = pages(store, &Listing::Sources("s3/b/k".into()), 2).await.iter().map(keys).collect();
    assert_eq!(found, [vec![at("a", "X"), at("a", "Y")], vec![at("b", "X")]]);
    assert_eq!(pages(store, &Listing::Sources("s3/b/ké #1".into()), 2).await[0].len(), 1);
}

async fn webhooks_are_listed_by_name(store: &impl Store) {
    for name in ["b", "a.2", "B", "a"] {
        create(store, Entity::Webhook(webhook(name))).await;
    }
    create(store, Entity::Head(head("a"))).await;
    let names = |page: &Vec<Entity>| -> Vec<String> { page.iter().map(|it| it.key().pair().1).collect() };
    let found: Vec<_> = pages(store, &Listing::Webhooks, 3).await.iter().map(names).collect();
    assert_eq!(found, [vec!["B", "a", "a.2"], vec!["b"]]);
}

async fn types_of_an_owner(store: &impl Store) {
    for provider in ["B", "A", "A-1"] {
        create(store, Entity::ActionType(action_type(provider))).await;
    }
    let mut third = action_type("C");
    third.definition.id.owner = Some("ThirdParty".into());
    create(store, Entity::ActionType(third)).await;
    let providers = |page: &Vec<Entity>| -> Vec<String> {
        let provider = |entity: &Entity| match entity {
            Entity::ActionType(it) => it.definition.id.provider.clone(),
            other => other.kind().into(),
        };
        page.iter().map(provider).collect()
    };
    let found: Vec<_> = pages(store, &Listing::ActionTypes("Custom".into()), 2).await.iter().map(providers).collect();
    assert_eq!(found.concat(), ["A", "A-1", "B"]);
    assert_eq!(pages(store, &Listing::ActionTypes("ThirdParty".into()), 2).await.concat().len(), 1);
    assert!(pages(store, &Listing::ActionTypes("AWS".into()), 2).await.concat().is_empty());
}

async fn jobs_of_a_queue_oldest_first(store: &impl Store) {
    let queued =
        [("A", None, 1_000, 1), ("A", None, 20, 2), ("A", None, 300, 3), ("A", Some("x"), 1, 4), ("B", None, 1, 5)];
    for (provider, query, at, n) in queued {
        create(store, Entity::Job(job(provider, query, at, n))).await;
    }
    let of = |provider, query| Listing::Jobs(job(provider, query, 0, 0).queue);
    let expected = [job("A", None, 20, 2), job("A", None, 300, 3), job("A", None, 1_000, 1)].map(Entity::Job);
    assert_eq!(pages(store, &of("A", None), 2).await.concat(), expected);
    assert_eq!(pages(store, &of("A", Some("x")), 2).await.concat(), [Entity::Job(job("A", Some("x"), 1, 4))]);
    assert!(pages(store, &of("A", Some("y")), 2).await.concat().is_empty());
}

/// A query reads 1 MB at a time; a page of the listing may be larger.
async fn a_long_listing_has_pages_of_any_size(store: &impl Store) {
    for attempt in 1..=12 {
        let mut large = stage(id(1), 0, attempt, None);
        large.actions[0].summary = Some("x".repeat(300_000));
        create(store, Entity::Stage(large)).await;
    }
    for size in [1, 5, 11, 12, 100] {
        let found = pages(store, &Listing::Stages(id(1)), size).await;
        let keys: Vec<Key> = found.concat().iter().map(Entity::key).collect();
        assert_eq!(keys, (1..=12).map(|attempt| Key::Stage(id(1), 0, attempt)).collect::<Vec<_>>());
        assert_eq!(found.len(), 12usize.div_ceil(size));
    }
}

async fn cursors_of_others_are_refused(store: &impl Store) {
    for number in 1..4 {
        create(store, Entity::Execution(execution("a", number))).await;
        create(store, Entity::Stage(stage(id(1), 0, number as u16, None))).await;
        create(store, Entity::Head(head(&format!("p{number}")))).await;
        create(store, Entity::Source(source("s3/b/k", &format!("p{number}"), "X"))).await;
        create(store, Entity::ActionType(action_type(&format!("p{number}")))).await;
        create(store, Entity::Job(job("A", None, 1, number))).await;
    }
    let listings = [
        Listing::Pipelines,
        Listing::Executions(name("a"), incarnation(1)),
        Listing::Stages(id(1)),
        Listing::Sources("s3/b/k".into()),
        Listing::ActionTypes("Custom".into()),
        Listing::Jobs(job("A", None, 0, 0).queue),
    ];
    let mut cursors = Vec::new();
    for listing in &listings {
        cursors.push(store.list(listing, None, 1).await.unwrap().next.unwrap());
    }
    for (own, listing) in listings.iter().enumerate() {
        for (other, cursor) in cursors.iter().enumerate() {
            let result = store.list(listing, Some(cursor), 1).await;
            assert_eq!(result.err(), (own != other).then_some(StoreError::Cursor), "{listing:?} {cursor}");
        }
        for nonsense in ["", "\u{0}", "STAGE#1#1", "STAGE#000#99999999", "1/2", &"漢".repeat(1_000)] {
            assert_eq!(store.list(listing, Some(nonsense), 1).await.err(), Some(StoreError::Cursor), "{nonsense}");
        }
    }
}

async fn due_in_order(store: &impl Store) {
    for n in 1..=30u64 {
        // Neither the order of writing nor the key tells when.
        let at = (n * 7) % 31;
        create(store, Entity::Stage(stage(id(n), 0, 1, Some(1_000 + at as i64)))).await;
    }
    create(store, Entity::StageLocks(locks("a", Some(990)))).await;
    create(store, Entity::StageLocks(locks("b", None))).await;
    create(store, Entity::Execution(execution("a", 1))).await;
    let by_time: Vec<ExecutionId> = (1..=30).map(|at| id((at * 9) % 31)).collect();
    let expected: Vec<Key> = std::iter::once(Key::StageLocks(name("a"), incarnation(1)))
        .chain(by_time.into_iter().map(|id| Key::Stage(id, 0, 1)))
        .collect();
    assert_eq!(due_at(store, 2_000).await, expected);
    assert_eq!(due_at(store, 1_010).await, expected[..11], "due at that very moment counts");
    assert_eq!(due_at(store, 989).await, []);
    for shard in 0..DUE_SHARDS {
        let shard = async |from, limit| store.due(shard, Timestamp(from), Timestamp(2_000), limit).await.unwrap();
        let all = shard(0, 100).await;
        assert!(all.is_sorted(), "the most overdue first");
        assert_eq!(shard(0, 2).await, all[..all.len().min(2)]);
        assert_eq!(shard(0, 0).await, []);
        for (index, due) in all.iter().enumerate() {
            assert_eq!(shard(due.at.0, 100).await, all[index..], "from there on");
        }
    }
}

/// What is due at that time, in all shards.
async fn due_at(store: &impl Store, now: i64) -> Vec<Key> {
    let mut all = Vec::new();
    for shard in 0..DUE_SHARDS {
        all.extend(store.due(shard, Timestamp(0), Timestamp(now), 100).await.unwrap());
    }
    all.sort();
    all.into_iter().map(|due| due.key).collect()
}

async fn due_ends_with_the_work(store: &impl Store) {
    let key = Key::Stage(id(1), 0, 1);
    let mut run = stage(id(1), 0, 1, Some(100));
    create(store, Entity::Stage(run.clone())).await;
    assert_eq!(due_at(store, 100).await, std::slice::from_ref(&key));
    run = stage(id(1), 0, 1, Some(200));
    store.commit(vec![put(Entity::Stage(run.clone()), Expect::Revision(1))]).await.unwrap();
    assert_eq!(due_at(store, 199).await, []);
    assert_eq!(due_at(store, 200).await, std::slice::from_ref(&key));
    run.status = StageStatus::Succeeded;
    store.commit(vec![put(Entity::Stage(run.clone()), Expect::Revision(2))]).await.unwrap();
    assert_eq!(due_at(store, i64::MAX).await, []);
    assert_eq!(get(store, key.clone()).await.unwrap().entity, Entity::Stage(run));
    // In a transaction, and by removal.
    let again = |n| put(Entity::Stage(stage(id(n), 0, 1, Some(300))), Expect::Any);
    store.commit(vec![again(1), again(2)]).await.unwrap();
    assert_eq!(due_at(store, 300).await.len(), 2);
    let quiet = Entity::Stage(stage(id(1), 0, 1, None));
    store.commit(vec![put(quiet, Expect::Revision(4)), delete(Key::Stage(id(2), 0, 1), Expect::Any)]).await.unwrap();
    assert_eq!(due_at(store, i64::MAX).await, []);
}

async fn locks_with_and_without_outbox(store: &impl Store) {
    let key = Key::StageLocks(name("a"), incarnation(1));
    for (n, due) in [Some(10), None, Some(20), None].into_iter().enumerate() {
        let expect = if n == 0 { Expect::Absent } else { Expect::Revision(n as u64) };
        store.commit(vec![put(Entity::StageLocks(locks("a", due)), expect)]).await.unwrap();
        let expected: Vec<Key> = due.iter().map(|_| key.clone()).collect();
        assert_eq!(due_at(store, 50).await, expected);
    }
}

async fn tombstones_stay(store: &impl Store) {
    let old = locks("a", None);
    create(store, Entity::StageLocks(old.clone())).await;
    create(store, Entity::Head(head("a"))).await;
    let mut grave = old.clone();
    // To come, so that no table has forgotten it yet.
    (grave.deleted, grave.deleted_at) = (true, Some(Timestamp(4_000_000_000_000)));
    store
        .commit(vec![
            put(Entity::StageLocks(grave.clone()), Expect::Revision(1)),
            delete(Key::Head(name("a")), Expect::Revision(1)),
        ])
        .await
        .unwrap();
    // A pipeline of the same name has locks of its own.
    let mut new = locks("a", None);
    new.incarnation = incarnation(2);
    create(store, Entity::Head(head("a"))).await;
    create(store, Entity::StageLocks(new.clone())).await;
    let keys = [1, 2].map(|n| Key::StageLocks(name("a"), incarnation(n)));
    let found = store.load(&keys).await.unwrap();
    assert_eq!(found[0], Some(Versioned { revision: 2, entity: Entity::StageLocks(grave) }));
    assert_eq!(found[1], Some(Versioned { revision: 1, entity: Entity::StageLocks(new) }));
}

async fn tokens_are_remembered(store: &impl Store) {
    let start = |text: &str, number| {
        vec![
            put(Entity::Token(token("a", text)), Expect::Absent),
            put(Entity::Execution(execution("a", number)), Expect::Absent),
        ]
    };
    store.commit(start("once", 1)).await.unwrap();
    conflict(store.commit(start("once", 2)).await, "TOKEN#");
    assert_eq!(get(store, Key::Execution(id(2))).await, None, "the second start started nothing");
    store.commit(start("once#2", 2)).await.unwrap();
    let key = Key::Token(name("a"), incarnation(1), "once".into());
    let Some(Versioned { entity: Entity::Token(found), .. }) = get(store, key).await else { panic!("no token") };
    assert_eq!(found.execution, id(1));
}

async fn the_last_start_under_an_external_id_counts(store: &impl Store) {
    let first = external_id("aws.codebuild", "eu-west-1", "b:7");
    let later = ExternalId { action: id(2).action(0, 1, 1), ..first.clone() };
    for started in [&first, &later] {
        store.commit(vec![put(Entity::ExternalId(started.clone()), Expect::Any)]).await.unwrap();
    }
    let key = Entity::ExternalId(first).key();
    assert_eq!(get(store, key).await.map(|found| found.entity), Some(Entity::ExternalId(later)));
    let elsewhere = Entity::ExternalId(external_id("aws.codebuild", "us-west-2", "b:7")).key();
    assert_eq!(get(store, elsewhere).await, None);
}
