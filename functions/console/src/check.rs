//! A definition as somebody types it: everything that is wrong with it at once, each fault at its place in the text.
//!
//! What can be read of it is checked even where a value has a wrong type: that value is left out, and said. The rules are those of
//! an update ([`driver::Driver::updated`]), so what has no faults here is refused only for what the API alone knows: roles that the
//! caller may not pass.

use driver::{DriveError, Driver};
use pipeline::custom::Types;
use pipeline::limits::{ACTIONS_IN_PIPELINE, STAGES};
use pipeline::{Declaration, Pipeline};
use serde_json::{Value, json};
use serde_path_to_error::Segment;

use crate::place::{Place, Places};

/// Values of a wrong type that are looked for in one text.
const MOST_TYPES: usize = 50;
/// Faults of each kind that are given a place. Somebody who has more of them has other worries, and each takes a walk through the text.
const MOST: usize = 200;

/// Something wrong with a text.
#[derive(Debug)]
pub struct Fault {
    /// Where, if that is known.
    pub place: Option<Place>,
    /// Where, in the notation of AWS's messages; empty where the text is no JSON.
    pub path: String,
    /// What is wrong, in a sentence.
    pub what: String,
}

/// What is known of a text.
#[derive(Debug, Default)]
pub struct Checked {
    /// Everything that is wrong with it, from its beginning to its end.
    pub faults: Vec<Fault>,
    /// The pipeline that it would make, if one can be made out: it may break rules.
    pub pipeline: Option<Pipeline>,
}

/// Checks what an update of `before` would be asked to store.
///
/// # Errors
/// The store's.
pub async fn check(driver: &Driver, before: &Pipeline, text: &str) -> Result<Checked, DriveError> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return Ok(Checked { faults: vec![syntax(text, &error)], pipeline: None }),
    };
    let places = Places::of(text);
    let Read { declaration, mut faults } = read(value, &places);
    for (name, place) in places.doubled(MOST) {
        let what = format!("The key {name:?} is here a second time; only the last one counts.");
        faults.push(Fault { place: Some(place), path: String::new(), what });
    }
    let Some(declaration) = declaration else { return Ok(Checked { faults, pipeline: None }) };
    if declaration.name != before.name().as_str() {
        let what = format!("The name must stay {:?}: a pipeline cannot be renamed.", before.name().as_str());
        faults.push(Fault { place: places.find("name"), path: "pipeline.name".to_owned(), what });
    }
    let updated = if is_of_size(&declaration) {
        driver.updated(before, declaration.clone()).await
    } else {
        // It breaks a rule, and nothing is read for the types of its many actions.
        Pipeline::try_from(declaration.clone()).map_err(DriveError::from)
    };
    let pipeline = match updated {
        Ok(pipeline) => Some(pipeline),
        Err(DriveError::Invalid(invalid)) => {
            let left_out: Vec<String> = faults.iter().map(|fault| fault.path.clone()).collect();
            let follows = |path: &str| left_out.iter().any(|known| is_in(path, known));
            let broken = invalid.violations().filter(|it| !follows(&it.path)).take(MOST).map(|it| Fault {
                place: places.find(it.path.trim_start_matches("pipeline")),
                path: it.path.clone(),
                what: it.message.clone(),
            });
            faults.extend(broken);
            // Its rules are broken, but it may have stages and actions that can be drawn.
            Some(declaration).filter(is_of_size).and_then(|it| Pipeline::stored(it, Types::default()).ok())
        }
        Err(error) => return Err(error),
    };
    faults.sort_by_key(|fault| fault.place.map(|place| place.span));
    // Two rules may find the same.
    faults.dedup_by(|one, other| one.path == other.path && one.what == other.what);
    Ok(Checked { faults, pipeline })
}

/// Whether a path leads to what `known` leads to, or into it.
fn is_in(path: &str, known: &str) -> bool {
    !known.is_empty() && path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether there are no more stages and actions than a pipeline may have.
fn is_of_size(declaration: &Declaration) -> bool {
    let actions = declaration.stages.iter().map(|stage| stage.actions.len()).sum::<usize>();
    declaration.stages.len() <= *STAGES.end() && actions <= ACTIONS_IN_PIPELINE
}

fn syntax(text: &str, error: &serde_json::Error) -> Fault {
    let whole = error.to_string();
    let what = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(what, _)| what);
    let place = Place::stopped(text, error.line(), error.column());
    Fault { place: Some(place), path: String::new(), what: format!("This is not JSON: {what}.") }
}

/// What could be read of a JSON value.
struct Read {
    /// None where nothing could be.
    declaration: Option<Declaration>,
    faults: Vec<Fault>,
}

fn read(mut value: Value, places: &Places<'_>) -> Read {
    let mut faults = Vec::new();
    for _ in 0..MOST_TYPES {
        let (mut unknown, mut track) = (Vec::new(), serde_path_to_error::Track::new());
        let mut ignored = |path: serde_ignored::Path<'_>| unknown.push(unread(&path));
        let tracked = serde_path_to_error::Deserializer::new(&value, &mut track);
        let declared: Result<Declaration, _> = serde_ignored::deserialize(tracked, &mut ignored);
        let error = match declared {
            Ok(declaration) => {
                faults.extend(unknown.into_iter().take(MOST).map(|path| {
                    let what = "There is no such key, and it would be left out.".to_owned();
                    Fault { place: places.find(&path), path: format!("pipeline{path}"), what }
                }));
                return Read { declaration: Some(declaration), faults };
            }
            Err(error) => error,
        };
        let path = track.path();
        let at = place_of(&path);
        let path_of_fault = format!("pipeline{at}");
        // What took the place of a value may be of a wrong type as well.
        if faults.iter().all(|fault: &Fault| fault.path != path_of_fault) {
            faults.push(Fault { place: places.find(&at), path: path_of_fault, what: mistyped(&error) });
        }
        if !leave_out(&mut value, &path) {
            break;
        }
    }
    Read { declaration: None, faults }
}

/// What is wrong with a value, in the words of JSON.
fn mistyped(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let (found, wanted) = said.split_once(", expected ").unwrap_or((&said, ""));
    let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    let (found, wanted) = (in_words(found), in_words(wanted));
    if wanted.is_empty() {
        format!("It cannot be read: {found}.")
    } else {
        format!("This is {found}, and must be {wanted}.")
    }
}

fn in_words(kind: &str) -> &str {
    match kind {
        "map" | "a map" => "an object",
        "sequence" | "a sequence" => "a list",
        "u32" => "a whole number from 0",
        "i64" => "a whole number",
        "null" => "null",
        kind if kind.starts_with("struct ") => "an object",
        kind => kind,
    }
}

/// A path in the notation of AWS's messages.
fn place_of(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => member(*index),
            Segment::Map { key } => format!(".{key}"),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        })
        .collect()
}

fn unread(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => unread(parent) + &member(*index),
        Path::Map { parent, key } => unread(parent) + "." + key,
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => unread(parent),
    }
}

fn member(index: usize) -> String {
    format!(".{}.member", index + 1)
}

/// Leaves out the value that a path leads to. In a list something empty takes its place, so that the others keep theirs. Answers
/// whether it did.
fn leave_out(value: &mut Value, path: &serde_path_to_error::Path) -> bool {
    let segments: Vec<_> = path.iter().collect();
    let Some((last, before)) = segments.split_last() else { return false };
    let parent = before.iter().try_fold(value, |at, segment| match segment {
        Segment::Seq { index } => at.get_mut(*index),
        Segment::Map { key } => at.get_mut(key.as_str()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    match (last, parent) {
        (Segment::Seq { index }, Some(Value::Array(array))) => {
            let Some(element) = array.get_mut(*index) else { return false };
            // Lists are of objects or of texts.
            let empty = if *element == json!({}) { json!("") } else { json!({}) };
            *element = empty;
            true
        }
        (Segment::Map { key }, Some(Value::Object(object))) => object.remove(key.as_str()).is_some(),
        _ => false,
    }
}
