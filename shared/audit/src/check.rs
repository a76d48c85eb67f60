//! Whether a chain is as it was written.

use std::collections::BTreeMap;
use std::fmt;

use crate::line::{Line, Tip, lines};

/// A line's place: its object's number, and its place among that object's lines, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number in the object's key; the first object of a log has 1.
    pub object: u64,
    /// The place in it.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {}, line {}", self.object, self.line)
    }
}

/// Something that is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line's hash is not that of its content.
    Changed(Place),
    /// What is there is no line.
    Unreadable(Place),
    /// Lines with these numbers, both included, are nowhere; they would stand in front of this place.
    Missing(Place, u64, u64),
    /// The line with this number stands here, behind later ones.
    Moved(Place, u64),
    /// The line here was chained to another one than that which stands in front of it: that one, or more of them up to it,
    /// were replaced by others, with hashes of their own.
    Replaced {
        /// Where the last of the replaced ones stands.
        last: Place,
        /// The line that shows it.
        shown_by: Place,
    },
    /// Objects with these numbers, both included, are missing.
    MissingObjects(u64, u64),
    /// The object has more than one version, or was deleted: it was put over, which the auditor never does. The first
    /// version counts.
    Overwritten(u64),
    /// The chain ends before the line that the table knows as the last.
    Truncated {
        /// The last line that is there.
        line: u64,
        /// The last line that was there.
        tip: Tip,
    },
    /// The line that the table, or the checkpoint, names has another hash.
    NotTheTip(Place),
    /// There are lines, but the table knows of none.
    NoTip,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(at) => write!(f, "{at}: this line was changed"),
            Self::Unreadable(at) => write!(f, "{at}: what is here is no line of the audit log"),
            Self::Missing(at, first, last) if first == last => write!(f, "{at}: line no. {first} is missing before it"),
            Self::Missing(at, first, last) => write!(f, "{at}: lines no. {first} to {last} are missing before it"),
            Self::Moved(at, number) => write!(f, "{at}: this is line no. {number}, moved here"),
            Self::Replaced { last, shown_by } => write!(
                f,
                "{last}: this line, and perhaps others before it, were replaced; the line at {shown_by} was chained to \
                 another one"
            ),
            Self::MissingObjects(first, last) if first == last => write!(f, "object {first} is missing"),
            Self::MissingObjects(first, last) => write!(f, "objects {first} to {last} are missing"),
            Self::Overwritten(object) => {
                write!(f, "object {object} was put over or deleted; its first version was checked")
            }
            Self::Truncated { line, tip } => write!(
                f,
                "the end is missing: the last line is no. {line}, but the table knows of no. {} in object {}",
                tip.line, tip.object
            ),
            Self::NotTheTip(at) => write!(f, "{at}: this line has another hash than the one that was noted of it"),
            Self::NoTip => write!(f, "the table does not know the last line: its item A#AUDIT/TIP is missing"),
        }
    }
}

/// The last line that was looked at.
#[derive(Clone, Debug)]
struct Last {
    place: Place,
    n: u64,
    /// Its hash, unless it is doubtful.
    hash: Option<String>,
    object: u64,
}

/// Looks at the objects of a chain, one after another, and says what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// None before the first line of a part.
    last: Option<Last>,
    /// The first object of a part.
    first: u64,
    noted: Vec<Tip>,
    faults: Vec<Fault>,
    /// Missing lines, by their numbers, until they are found elsewhere.
    missing: BTreeMap<u64, Place>,
    lines: u64,
    objects: u64,
}

impl Checker {
    /// For the whole chain, from its first line.
    #[must_use]
    pub fn whole() -> Self {
        Self::behind(&Tip::start())
    }

    /// For a part of the chain that begins with this object.
    #[must_use]
    pub fn part(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// For what was written behind this line.
    #[must_use]
    pub fn behind(tip: &Tip) -> Self {
        let place = Place { object: tip.object, line: 0 };
        let last = Last { place, n: tip.line, hash: Some(tip.hash.clone()), object: tip.object };
        Self { last: Some(last), ..Self::default() }
    }

    /// The same, which also compares this line with what was noted of it: the table's tip, or a checkpoint.
    #[must_use]
    pub fn noted(mut self, tip: Tip) -> Self {
        self.noted.push(tip);
        self
    }

    /// Looks at the next object.
    pub fn object(&mut self, object: u64, content: &[u8]) {
        let expected = self.last.as_ref().map_or(self.first, |last| last.object + 1);
        if object > expected {
            self.faults.push(Fault::MissingObjects(expected, object - 1));
        }
        self.objects += 1;
        for (index, line) in lines(content).enumerate() {
            let place = Place { object, line: index + 1 };
            self.lines += 1;
            match line {
                Ok(line) if line.intact => self.intact(place, &line),
                Ok(_) => self.doubtful(place, Fault::Changed(place)),
                Err(_) => self.doubtful(place, Fault::Unreadable(place)),
            }
        }
        if content.is_empty() {
            self.faults.push(Fault::Unreadable(Place { object, line: 1 }));
        }
        if let Some(last) = &mut self.last {
            last.object = object;
        }
    }

    /// Notes that an object has more versions than the one that is looked at.
    pub fn overwritten(&mut self, object: u64) {
        self.faults.push(Fault::Overwritten(object));
    }

    /// A line that cannot be trusted counts as the one that belongs in its place: its number and its hash may be wrong.
    fn doubtful(&mut self, place: Place, fault: Fault) {
        self.faults.push(fault);
        if let Some(last) = &mut self.last {
            *last = Last { place, n: last.n + 1, hash: None, object: place.object };
        }
    }

    fn intact(&mut self, place: Place, line: &Line) {
        self.compare_with_notes(place, line);
        let here = Last { place, n: line.n, hash: Some(line.hash.clone()), object: place.object };
        let Some(last) = &self.last else {
            self.last = Some(here);
            return;
        };
        let expected = last.n + 1;
        if line.n < expected {
            self.missing.remove(&line.n);
            self.faults.push(Fault::Moved(place, line.n));
            return;
        }
        self.missing.extend((expected..line.n).map(|n| (n, place)));
        if line.n == expected && last.hash.as_ref().is_some_and(|hash| *hash != line.previous) {
            self.faults.push(Fault::Replaced { last: last.place, shown_by: place });
        }
        self.last = Some(here);
    }

    fn compare_with_notes(&mut self, place: Place, line: &Line) {
        if self.noted.iter().any(|tip| tip.line == line.n && tip.hash != line.hash) {
            self.faults.push(Fault::NotTheTip(place));
        }
    }

    /// How many objects and lines were looked at.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.objects, self.lines)
    }

    /// The last line, if all that was looked at can be trusted so far.
    #[must_use]
    pub fn tip(&self) -> Option<Tip> {
        let last = self.last.as_ref().filter(|_| self.faults.is_empty() && self.missing.is_empty())?;
        Some(Tip { object: last.object, line: last.n, hash: last.hash.clone()? })
    }

    /// All that is wrong, once the last object was looked at. What is missing comes last.
    #[must_use]
    pub fn finish(mut self) -> Vec<Fault> {
        let reached = self.last.as_ref().map_or(0, |last| last.n);
        let furthest = self.noted.iter().max_by_key(|tip| tip.line);
        match furthest {
            Some(tip) if tip.line > reached => {
                self.faults.push(Fault::Truncated { line: reached, tip: tip.clone() });
            }
            _ => {}
        }
        // Numbers that follow each other are told in one.
        let mut gaps: Vec<(Place, u64, u64)> = Vec::new();
        for (n, place) in self.missing {
            match gaps.last_mut() {
                Some((at, _, last)) if *at == place && *last + 1 == n => *last = n,
                _ => gaps.push((place, n, n)),
            }
        }
        self.faults.extend(gaps.into_iter().map(|(place, first, last)| Fault::Missing(place, first, last)));
        self.faults
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::line::extend;
    use crate::record::{Record, What};

    /// A record that differs from all others by its number.
    pub fn record(number: u64) -> Record {
        Record {
            id: format!("id-{number}"),
            time: "2026-11-26T15:48:05.000Z".into(),
            what: What::Call { operation: "StartPipelineExecution".into(), result: "ok".into() },
            pipeline: Some(format!("pipeline-{number}")),
            execution: None,
            caller: Some("arn:aws:iam::111122223333:user/ada".into()),
            source: Some("203.0.113.7".into()),
            request: Some("r".into()),
        }
    }

    /// A chain of objects with this many lines each, and its tip.
    fn chain(sizes: &[u64]) -> (Vec<Vec<u8>>, Tip) {
        let (mut objects, mut tip) = (Vec::new(), Tip::start());
        let mut number = 0;
        for size in sizes {
            let records: Vec<_> = (0..*size).map(|at| record(number + at)).collect();
            number += size;
            let (object, end) = extend(&tip, &records, "2026-11-26T15:48:06.000Z");
            objects.push(object);
            tip = end;
        }
        (objects, tip)
    }

    fn faults(objects: &[Vec<u8>], tip: &Tip) -> Vec<Fault> {
        let mut checker = Checker::whole().noted(tip.clone());
        for (index, object) in objects.iter().enumerate() {
            if !object.is_empty() {
                checker.object(index as u64 + 1, object);
            }
        }
        checker.finish()
    }

    fn split(object: &[u8]) -> Vec<Vec<u8>> {
        object.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    fn at(object: u64, line: usize) -> Place {
        Place { object, line }
    }

    #[test]
    fn a_chain_that_nobody_touched_is_right_as_a_whole_and_in_part() {
        let (objects, tip) = chain(&[2, 1, 3]);
        assert_eq!(faults(&objects, &tip), []);
        let mut part = Checker::part(2).noted(tip.clone());
        part.object(2, &objects[1]);
        part.object(3, &objects[2]);
        assert_eq!((part.counts(), part.tip()), ((2, 4), Some(tip.clone())));
        assert_eq!(part.finish(), []);
        let (_, first) = chain(&[2]);
        let mut behind = Checker::behind(&first);
        behind.object(2, &objects[1]);
        assert_eq!(behind.finish(), []);
    }

    #[test]
    fn a_changed_line_is_named() {
        let (mut objects, tip) = chain(&[2, 3]);
        let text = String::from_utf8(objects[1].clone()).unwrap();
        objects[1] = text.replacen("pipeline-3", "pipeline-9", 1).into_bytes();
        assert_eq!(faults(&objects, &tip), [Fault::Changed(at(2, 2))]);
    }

    #[test]
    fn a_missing_line_is_named_with_its_number() {
        let (mut objects, tip) = chain(&[2, 3]);
        let mut lines = split(&objects[1]);
        lines.remove(1);
        objects[1] = lines.concat();
        assert_eq!(faults(&objects, &tip), [Fault::Missing(at(2, 2), 4, 4)]);
        // The first of all, and the last of an object.
        let (mut objects, tip) = chain(&[2, 3]);
        let lines = split(&objects[0]);
        objects[0] = lines[1].clone();
        assert_eq!(faults(&objects, &tip), [Fault::Missing(at(1, 1), 1, 1)]);
        objects[0] = lines[0].clone();
        assert_eq!(faults(&objects, &tip), [Fault::Missing(at(2, 1), 2, 2)]);
    }

    #[test]
    fn a_moved_line_is_named_where_it_stands() {
        let (mut objects, tip) = chain(&[2, 3]);
        let mut lines = split(&objects[1]);
        lines.swap(0, 1);
        objects[1] = lines.concat();
        assert_eq!(faults(&objects, &tip), [Fault::Moved(at(2, 2), 3)]);
        // Into another object.
        let (mut objects, tip) = chain(&[2, 2, 2]);
        let mut lines = split(&objects[0]);
        let moved = lines.remove(0);
        objects[0] = lines.concat();
        objects[2].extend(moved);
        assert_eq!(faults(&objects, &tip), [Fault::Moved(at(3, 3), 1)]);
        // Objects that changed places.
        let (mut objects, tip) = chain(&[1, 1, 1]);
        objects.swap(0, 1);
        assert_eq!(faults(&objects, &tip), [Fault::Moved(at(2, 1), 1)]);
    }

    #[test]
    fn a_repeated_line_is_named() {
        let (mut objects, tip) = chain(&[2, 1]);
        let repeated = split(&objects[0])[0].clone();
        objects[0].extend(repeated);
        assert_eq!(faults(&objects, &tip), [Fault::Moved(at(1, 3), 1)]);
    }

    #[test]
    fn a_missing_object_and_a_missing_end_are_named() {
        let (mut objects, tip) = chain(&[1, 1, 1, 2]);
        let full = objects.clone();
        objects[1] = Vec::new();
        assert_eq!(faults(&objects, &tip), [Fault::MissingObjects(2, 2), Fault::Missing(at(3, 1), 2, 2)]);
        objects = full[..2].to_vec();
        assert_eq!(faults(&objects, &tip), [Fault::Truncated { line: 2, tip: tip.clone() }]);
        let mut objects = full.clone();
        objects[3] = split(&full[3])[0].clone();
        assert_eq!(faults(&objects, &tip), [Fault::Truncated { line: 4, tip: tip.clone() }]);
        assert_eq!(faults(&[], &tip), [Fault::Truncated { line: 0, tip: tip.clone() }]);
        // What was put before the table heard of it.
        let (more, _) = chain(&[1, 1, 1, 2, 1]);
        assert_eq!(faults(&more, &tip), []);
    }

    #[test]
    fn a_replaced_object_shows_by_what_follows_and_the_last_one_by_the_tip() {
        let (objects, tip) = chain(&[2, 2, 2]);
        let (_, first) = chain(&[2]);
        let forged = extend(&first, &[record(77), record(78)], "2026-11-26T15:48:06.000Z");
        let mut replaced = objects.clone();
        replaced[1] = forged.0;
        let expected = Fault::Replaced { last: at(2, 2), shown_by: at(3, 1) };
        assert_eq!(faults(&replaced, &tip), [expected]);
        // With fewer lines.
        let mut shorter = objects.clone();
        shorter[1] = extend(&first, &[record(77)], "now").0;
        assert_eq!(faults(&shorter, &tip), [Fault::Missing(at(3, 1), 4, 4)]);
        // All from there on: the chain is right, but its tip is another.
        let mut all = objects.clone();
        let (second, end) = extend(&first, &[record(77), record(78)], "now");
        all[1] = second;
        let (third, forged_tip) = extend(&end, &[record(79), record(80)], "now");
        all[2] = third;
        assert_eq!(faults(&all, &tip), [Fault::NotTheTip(at(3, 2))]);
        // And the tip as well: then nothing shows it but a checkpoint from before.
        assert_eq!(faults(&all, &forged_tip), []);
        let checkpoint = chain(&[2, 2]).1;
        let mut checker = Checker::whole().noted(forged_tip).noted(checkpoint);
        (1..).zip(&all).for_each(|(number, object)| checker.object(number, object));
        assert_eq!(checker.finish(), [Fault::NotTheTip(at(2, 2))]);
    }

    #[test]
    fn what_is_no_line_is_named_and_does_not_hide_the_rest() {
        let (mut objects, tip) = chain(&[3, 2]);
        let mut lines = split(&objects[0]);
        lines[1] = b"{}\n".to_vec();
        objects[0] = lines.concat();
        assert_eq!(faults(&objects, &tip), [Fault::Unreadable(at(1, 2))]);
        let mut checker = Checker::whole();
        checker.object(1, b"");
        assert_eq!(checker.finish(), [Fault::Unreadable(at(1, 1))]);
    }
}
