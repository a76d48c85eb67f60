//! Glob patterns of trigger filters. Source: CodePipeline user guide, 'Working with glob patterns in syntax'.
//!
//! | in a pattern | matches |
//! |---|---|
//! | `*` | any characters of one name, none as well |
//! | `**` | any characters, `/` as well; `**/` also nothing, since it stands for any number of folders |
//! | `?` | one character of a name |
//! | `[abc]`, `[a-z]`, `[!a-z]` | one character of a name out of a set, or out of all others |
//! | `{a,b}` | either of the patterns, which have no such group inside |
//! | `\` | the next character as it is |
//!
//! The crate `globset` differs: there `**` is two `*` unless it stands alone between slashes, so that `release**` would
//! not match `release/1`. What it comes to is a regular expression all the same, matched in linear time.

use regex_lite::Regex;

/// A pattern, ready for matching.
#[derive(Debug)]
pub(super) enum Glob {
    Pattern(Regex),
    /// What is no pattern, such as `a[b`: it matches its own text.
    Literal(String),
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let regex = expression(pattern).and_then(|expression| Regex::new(&expression).ok());
        regex.map_or_else(|| Self::Literal(pattern.to_owned()), Self::Pattern)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Pattern(regex) => regex.is_match(text),
            Self::Literal(literal) => literal == text,
        }
    }
}

/// The regular expression for the whole text; none for what is no pattern.
fn expression(pattern: &str) -> Option<String> {
    let mut regex = String::from("^(?s:");
    let mut rest = pattern.chars().peekable();
    // Whether a name begins here: only there `**/` stands for no folder, too.
    let mut begins = true;
    // Inside a group: whether a name began where the group did, and whether one begins behind each pattern so far.
    let mut group = None;
    while let Some(character) = rest.next() {
        let mut next_begins = false;
        match (character, group) {
            ('\\', _) => {
                let escaped = rest.next()?;
                next_begins = escaped == '/';
                literal(escaped, &mut regex);
            }
            ('*', _) if rest.next_if_eq(&'*').is_some() => {
                while rest.next_if_eq(&'*').is_some() {}
                if begins && rest.next_if_eq(&'/').is_some() {
                    regex.push_str("(?:.*/)?");
                    next_begins = true;
                } else {
                    regex.push_str(".*");
                }
            }
            ('*', _) => regex.push_str("[^/]*"),
            ('?', _) => regex.push_str("[^/]"),
            ('[', _) => set(&mut rest, &mut regex)?,
            ('{', None) => {
                regex.push_str("(?:");
                group = Some((begins, true));
                next_begins = begins;
            }
            ('{', Some(_)) => return None,
            (',', Some((outer, behind))) => {
                regex.push('|');
                group = Some((outer, behind && begins));
                next_begins = outer;
            }
            ('}', Some((_, behind))) => {
                regex.push(')');
                group = None;
                next_begins = behind && begins;
            }
            (character, _) => {
                next_begins = character == '/';
                literal(character, &mut regex);
            }
        }
        begins = next_begins;
    }
    regex.push_str(")$");
    group.is_none().then_some(regex)
}

fn literal(character: char, regex: &mut String) {
    regex.push_str(&regex_lite::escape(character.encode_utf8(&mut [0; 4])));
}

/// What follows a `[`, with the bracket that closes it. Inside, nothing but `!` at the beginning and `-` between two
/// characters means anything else than itself. No set has the `/` in it.
fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, regex: &mut String) -> Option<()> {
    let negated = rest.next_if_eq(&'!').is_some();
    regex.push_str(if negated { "[^/" } else { "[" });
    let mut ranges = 0;
    loop {
        let first = rest.next()?;
        if first == ']' {
            break;
        }
        let mut last = first;
        if rest.next_if_eq(&'-').is_some() {
            match rest.peek()? {
                // At the end it is a character like any other.
                ']' => ranges += range('-', '-', regex),
                _ => last = rest.next()?,
            }
        }
        if last < first {
            return None;
        }
        ranges += range(first, last, regex);
    }
    // The class of no character at all has no form in regular expressions.
    if ranges == 0 {
        return None;
    }
    regex.push(']');
    Some(())
}

/// Adds the characters from one to another except the `/`. Answers how many ranges that makes.
fn range(first: char, last: char, regex: &mut String) -> usize {
    let mut add = |first: char, last: char| {
        let there = first <= last;
        if there {
            regex.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(first), u32::from(last)));
        }
        usize::from(there)
    };
    // The neighbours of the slash are `.` and `0`.
    if first <= '/' && '/' <= last { add(first, '.') + add('0', last) } else { add(first, last) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern).matches(text)
    }

    #[test]
    fn the_documented_rules_hold() {
        for (pattern, yes, no) in [
            ("*.java", vec!["Main.java", ".java"], vec!["src/Main.java", "Main.class"]),
            ("*.*", vec!["a.b", "."], vec!["ab", "a/b.c"]),
            ("*.{java,class}", vec!["A.java", "A.class"], vec!["A.jar", "a/A.java"]),
            ("foo.?", vec!["foo.a", "foo.ä"], vec!["foo.", "foo.ab", "foo./"]),
            ("my-file.jar", vec!["my-file.jar"], vec!["a/my-file.jar", "my-file.jarx"]),
            ("directory/my-file.jar", vec!["directory/my-file.jar"], vec!["my-file.jar"]),
            ("**/*", vec!["a", "a/b", "a/b/c"], vec![]),
            ("directory/**/*", vec!["directory/a", "directory/a/b"], vec!["directory", "other/a"]),
            ("directory/*", vec!["directory/a"], vec!["directory/a/b", "directory"]),
            ("[abc]x", vec!["ax", "cx"], vec!["dx", "x"]),
            ("[a-c]x", vec!["bx"], vec!["dx"]),
            ("[!a-c]x", vec!["dx"], vec!["bx", "/x"]),
            ("[*?\\]", vec!["*", "?", "\\"], vec!["a"]),
            ("[-a]", vec!["-", "a"], vec!["b"]),
            ("[!-a]", vec!["b"], vec!["-", "a"]),
            ("[a-]", vec!["-", "a"], vec!["b"]),
            ("[+-9]", vec!["+", "-", ".", "0", "9"], vec!["/"]),
            ("\\*\\{", vec!["*{"], vec!["a{"]),
            ("feature/**", vec!["feature/a", "feature/a/b"], vec!["feature", "features/a"]),
            ("common/**/*.js", vec!["common/app.js", "common/a/b/app.js"], vec!["app.js", "common/app.ts"]),
            ("**/README.md", vec!["README.md", "a/README.md"], vec!["aREADME.md", "README.md/a"]),
            ("release**", vec!["release", "release-1", "release/1"], vec!["a/release"]),
            ("{a/,b/}**/c", vec!["a/c", "b/x/c"], vec!["c"]),
            ("{**/a,b}", vec!["a", "x/a", "b"], vec!["x/b"]),
            ("a,b}", vec!["a,b}"], vec!["a"]),
            ("a.c+(d)|$", vec!["a.c+(d)|$"], vec!["abc+(d)|$"]),
            ("main", vec!["main"], vec!["main\n", "mains", "Main"]),
        ] {
            for text in yes {
                assert!(matches(pattern, text), "{pattern} is to match {text:?}");
            }
            for text in no {
                assert!(!matches(pattern, text), "{pattern} is not to match {text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_matches_its_own_text() {
        for text in ["a[b", "a[]", "[/]", "[b-a]", "{a", "{a,{b}}", "a\\"] {
            assert!(matches!(Glob::new(text), Glob::Literal(_)), "{text}");
            assert!(matches(text, text));
            assert!(!matches(text, "a"));
        }
    }

    /// The rules of `*`, `**` and `?` once more, by trying every way.
    fn tries(pattern: &[char], text: &[char], begins: bool) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', '*', rest @ ..] => {
                let stars = rest.iter().take_while(|it| **it == '*').count();
                let rest = &rest[stars..];
                let no_folder = begins && matches!(rest, ['/', after @ ..] if tries(after, text, true));
                no_folder || (0..=text.len()).any(|n| tries(rest, &text[n..], false))
            }
            ['*', rest @ ..] => {
                let name = text.iter().take_while(|it| **it != '/').count();
                (0..=name).any(|n| tries(rest, &text[n..], false))
            }
            ['?', rest @ ..] => matches!(text, [it, after @ ..] if *it != '/' && tries(rest, after, false)),
            [wanted, rest @ ..] => matches!(text, [it, after @ ..] if it == wanted && tries(rest, after, *it == '/')),
        }
    }

    proptest! {
        #[test]
        fn stars_match_what_trying_every_way_matches(pattern in "[ab/?*]{0,10}", text in "[ab/]{0,10}") {
            let (of_pattern, of_text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), tries(&of_pattern, &of_text, true), "{} {}", pattern, text);
        }

        #[test]
        fn a_text_without_special_characters_matches_itself_alone(pattern in "[^*?\\\\\\[{]{1,40}", other in ".{0,10}") {
            prop_assert!(matches(&pattern, &pattern));
            prop_assert_eq!(matches(&pattern, &other), pattern == other);
        }

        #[test]
        fn every_text_can_be_escaped(text in "[ -~]{1,40}") {
            let escaped: String = text.chars().flat_map(|it| ['\\', it]).collect();
            prop_assert!(matches(&escaped, &text));
        }

        #[test]
        fn any_text_is_a_pattern_or_its_own_text(pattern in any::<String>(), text in any::<String>()) {
            matches(&pattern, &text);
        }
    }
}
