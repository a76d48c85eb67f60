//! The drawings, as whoever parses XML sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pages::State;
use pictures::{ActionSnapshot, Snapshot, StageSnapshot, badge, graph, width::width};
use roxmltree::{Document, Node};

/// What must stay text wherever it comes from.
const EVIL: &str = "</text><script>alert(1)</script>\"'&<!--]]>\u{202e}gpj\u{0}\u{1b}\u{fffe}\u{7}";

fn action(name: &str, run_order: u32, state: State) -> ActionSnapshot {
    ActionSnapshot { name: name.into(), run_order, region: None, seen: (state, state.word()) }
}

fn stage(name: &str, state: State, actions: Vec<ActionSnapshot>) -> StageSnapshot {
    StageSnapshot { name: name.into(), seen: (state, state.word()), is_closed: false, is_held: false, actions }
}

fn shop() -> Snapshot {
    let away = ActionSnapshot { region: Some("us-west-2".into()), ..action("Deploy-away", 1, State::InProgress) };
    let tests = ["Unit", "Contract", "Browser", "Load"].map(|name| action(name, 2, State::Succeeded));
    let build = [action("Compile", 1, State::Succeeded)].into_iter().chain(tests).collect();
    let mut production = stage(
        "Production",
        State::InProgress,
        vec![action("Deploy-home", 1, State::Succeeded), away, action("Smoke-test", 2, State::DidNotRun)],
    );
    production.is_closed = true;
    Snapshot {
        pipeline: "shop".into(),
        stages: vec![
            stage("Source", State::Succeeded, vec![action("Checkout", 1, State::Succeeded)]),
            stage("Build", State::Succeeded, build),
            production,
        ],
    }
}

/// Parses a picture, and checks what is true of all of them.
fn checked(svg: &str) -> Document<'_> {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let root = document.root_element();
    assert_eq!((root.tag_name().name(), root.attribute("role")), ("svg", Some("img")));
    let named = |id: &str| root.children().find(|it| it.attribute("id") == Some(id)).and_then(|it| it.text());
    assert_eq!(root.attribute("aria-labelledby"), Some("t d"));
    assert!(
        named("t").is_some_and(|title| !title.is_empty()) && root.children().any(|it| it.attribute("id") == Some("d"))
    );
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        let known = ["svg", "title", "desc", "style", "defs", "symbol", "rect", "circle", "path", "g", "use", "text"];
        assert!(known.contains(&name), "{name}");
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on") && attribute.name() != "style", "{}", attribute.name());
            if attribute.name() == "href" {
                let target = attribute.value().strip_prefix('#').expect("it leads nowhere else");
                assert!(document.descendants().any(|it| it.attribute("id") == Some(target)), "{target}");
            }
        }
        if name == "style" {
            let style = node.text().unwrap();
            assert_eq!(style, pages::PICTURE_STYLE, "a policy knows it by its hash");
            assert!(style.contains("prefers-color-scheme: dark"));
            assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("@font-face"));
        }
    }
    document
}

fn texts<'a>(document: &'a Document<'_>) -> Vec<&'a str> {
    document
        .descendants()
        .filter(|it| it.has_tag_name(("http://www.w3.org/2000/svg", "text")))
        .filter_map(|it| it.text())
        .collect()
}

#[test]
fn a_badge_says_name_and_state_by_word_colour_and_shape() {
    let mut shapes = Vec::new();
    for state in State::ALL {
        let snapshot = Snapshot { pipeline: "shop".into(), stages: vec![stage("Prod", state, vec![])] };
        let svg = badge(&snapshot, Some("Prod")).unwrap();
        let document = checked(&svg);
        assert_eq!(texts(&document), [state.word(), "shop · Prod"]);
        let mark = document.descendants().find(|it| it.attribute("class") == Some("mark")).unwrap();
        assert_eq!(mark.parent().unwrap().attribute("class"), Some(state.class()), "its colour");
        let lines = mark.children().filter(Node::is_element);
        shapes.push(format!(
            "{:?}",
            lines.map(|it| it.attributes().map(|it| it.value().to_owned()).collect()).collect::<Vec<Vec<_>>>()
        ));
        assert!(svg.contains(&format!("<title id=\"t\">shop · Prod: {}</title>", state.word())));
    }
    shapes.iter().for_each(|shape| assert_eq!(shapes.iter().filter(|it| *it == shape).count(), 1, "{shape}"));
    assert_eq!(badge(&shop(), Some("Nowhere")), None);
}

#[test]
fn a_pipeline_s_badge_says_what_needs_attention_first() {
    let word = |snapshot: &Snapshot| texts(&checked(&badge(snapshot, None).unwrap()))[0].to_owned();
    let mut snapshot = shop();
    assert_eq!(word(&snapshot), "in progress");
    snapshot.stages[2].is_held = true;
    assert_eq!(word(&snapshot), "waiting", "something waits in front of a closed transition");
    snapshot.stages[1].seen = (State::Failed, "failed");
    assert_eq!(word(&snapshot), "failed");
    for stage in &mut snapshot.stages {
        *stage = StageSnapshot { seen: (State::Succeeded, "succeeded"), is_held: false, ..stage.clone() };
    }
    assert_eq!(word(&snapshot), "succeeded");
    snapshot.stages.clear();
    assert_eq!(word(&snapshot), "did not run");
}

#[test]
fn a_badge_is_as_wide_as_its_words() {
    for name in ["a", "release", &"W".repeat(100), &"i".repeat(100)] {
        let svg = badge(&Snapshot { pipeline: name.into(), stages: vec![] }, None).unwrap();
        let document = checked(&svg);
        let number = |node: Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<u32>().unwrap();
        let wide = number(document.root_element(), "width");
        assert!(wide < 450, "{wide}");
        for text in document.descendants().filter(|it| it.has_attribute("textLength")) {
            let least = width(text.text().unwrap(), 11);
            assert!((least..=least + least / 10).contains(&number(text, "textLength")), "{svg}");
            assert!(number(text, "x") + number(text, "textLength") <= wide, "{svg}");
        }
    }
}

#[test]
fn a_graph_has_stages_groups_regions_states_and_closed_transitions() {
    let svg = graph(&shop());
    let document = checked(&svg);
    let texts = texts(&document);
    for text in ["shop", "Source", "Checkout", "4 in parallel", "2 in parallel", "closed", "in progress · us-west-2"] {
        assert_eq!(texts.iter().filter(|it| **it == text).count(), 1, "{text}: {texts:?}");
    }
    let class = |class: &str| document.descendants().filter(|it| it.attribute("class") == Some(class)).count();
    // Stages, groups side by side, gates; ways: two between stages, one in Build and one in Production.
    assert_eq!((class("stage"), class("together"), class("gate"), class("way")), (3, 2, 1, 4));
    assert_eq!(
        document.descendants().find(|it| it.attribute("id") == Some("d")).unwrap().text().unwrap(),
        "Source: succeeded. Build: succeeded. Production: in progress, Deploy-away in progress; \
         the transition into it is closed."
    );
}

#[test]
fn nothing_in_a_graph_lies_over_anything_else() {
    let svg = graph(&shop());
    let document = checked(&svg);
    let wide: i64 = document.root_element().attribute("width").unwrap().parse().unwrap();
    let high: i64 = document.root_element().attribute("height").unwrap().parse().unwrap();
    let place = |node: Node<'_, '_>| {
        let moved = node.parent().unwrap().attribute("transform").unwrap();
        let moved = moved.strip_prefix("translate(").unwrap().strip_suffix(')').unwrap();
        let (x, y) = moved.split_once(' ').unwrap();
        (x.parse::<i64>().unwrap(), y.parse::<i64>().unwrap())
    };
    let cards: Vec<_> = document.descendants().filter(|it| it.attribute("class") == Some("card")).map(place).collect();
    assert_eq!(cards.len(), 9);
    for (index, (x, y)) in cards.iter().enumerate() {
        assert!(*x > 0 && *y > 0 && x + 168 < wide && y + 38 < high);
        let apart = |(x2, y2): &(i64, i64)| (x - x2).abs() >= 168 || (y - y2).abs() >= 38;
        assert!(cards[..index].iter().all(apart), "{x} {y}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let hostile = Snapshot {
        pipeline: EVIL.into(),
        stages: vec![StageSnapshot {
            is_closed: true,
            ..stage(
                EVIL,
                State::Failed,
                vec![ActionSnapshot { region: Some(EVIL.into()), ..action(EVIL, 1, State::Failed) }],
            )
        }],
    };
    for svg in [badge(&hostile, None), badge(&hostile, Some(EVIL)), Some(graph(&hostile))] {
        let svg = svg.unwrap();
        checked(&svg);
        assert!(svg.contains("&lt;/text&gt;") && svg.contains("[U+202E]"), "{svg}");
        assert!(
            !svg.chars().any(|it| it.is_control() && it != '\n' || ['\u{202e}', '\u{fffe}'].contains(&it)),
            "{svg}"
        );
    }
}

#[test]
fn the_largest_pipeline_is_still_a_small_file() {
    let name = |what: &str, index: usize| format!("{what}-{index}-{}", "W".repeat(90));
    let stages = (0..10).map(|index| {
        let actions = (0..50).map(|it| ActionSnapshot {
            region: Some("ap-southeast-1".into()),
            ..action(&name("Action", it), u32::try_from(it % 7).unwrap(), State::InProgress)
        });
        StageSnapshot { is_closed: true, ..stage(&name("Stage", index), State::InProgress, actions.collect()) }
    });
    let snapshot = Snapshot { pipeline: name("pipeline", 0), stages: stages.collect() };
    let svg = graph(&snapshot);
    checked(&svg);
    assert!(svg.len() < 400_000, "{} bytes", svg.len());
    assert!(badge(&snapshot, None).unwrap().len() < 5_000);
}

/// What README shows.
#[test]
fn the_pictures_of_the_readme_are_what_is_drawn() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pictures");
    for (file, svg) in [("badge.svg", badge(&shop(), None).unwrap()), ("graph.svg", graph(&shop()))] {
        if std::env::var_os("WRITE_PICTURES").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(file), &svg).unwrap();
        }
        let kept = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(kept == svg, "write {file} anew: WRITE_PICTURES=1 cargo test --workspace --test pictures");
    }
}
