//! What a browser knows about a form: where it goes, and which fields it sends.

use anyhow::{Context, Result};

/// The first form of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Where it is sent; empty: to the page itself.
    pub action: String,
    /// Fields as the page has filled them in; check boxes and radio buttons only where they are ticked.
    pub fields: Vec<(String, String)>,
    /// Radio buttons and submitting buttons: name, value and what kind it is.
    pub choices: Vec<(String, String)>,
}

impl Form {
    /// Reads the first `<form method="post">` of the page.
    pub fn read(page: &str) -> Result<Self> {
        let mut form: Option<Self> = None;
        for tag in tags(page) {
            match (tag.name.as_str(), &mut form) {
                ("form", None) if tag.get("method").eq_ignore_ascii_case("post") => {
                    form = Some(Self { action: tag.get("action").to_owned(), ..Self::default() });
                }
                ("/form", Some(_)) => break,
                ("input", Some(form)) => form.input(&tag),
                ("textarea", Some(form)) => form.fields.push((tag.get("name").to_owned(), String::new())),
                ("button", Some(form)) => form.choices.push((tag.get("name").to_owned(), tag.get("value").to_owned())),
                _ => {}
            }
        }
        let mut form = form.context("the page has no form to send")?;
        form.fields.retain(|(name, _)| !name.is_empty());
        form.choices.retain(|(name, _)| !name.is_empty());
        Ok(form)
    }

    fn input(&mut self, tag: &Tag) {
        let field = (tag.get("name").to_owned(), tag.get("value").to_owned());
        match tag.get("type").to_ascii_lowercase().as_str() {
            "submit" | "radio" => self.choices.push(field),
            "checkbox" if !tag.has("checked") => {}
            _ => self.fields.push(field),
        }
    }

    /// Types into an empty field, if the form has it.
    pub fn fill(&mut self, name: &str, value: &str) {
        for field in &mut self.fields {
            if field.0 == name && field.1.is_empty() {
                value.clone_into(&mut field.1);
            }
        }
    }

    /// Takes the choice whose value begins with `value`, in any case.
    pub fn choose(&mut self, value: &str) -> Result<()> {
        let wanted = |choice: &&(String, String)| choice.1.to_ascii_lowercase().starts_with(value);
        let choice = self.choices.iter().find(wanted).with_context(|| format!("the form offers no choice {value}"))?;
        self.fields.push(choice.clone());
        Ok(())
    }
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|attribute| attribute.0 == name).map_or("", |attribute| &attribute.1)
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|attribute| attribute.0 == name)
    }
}

/// The tags of a page, in order. Enough for pages of our own, not for every page there is.
fn tags(page: &str) -> impl Iterator<Item = Tag> {
    page.split('<').skip(1).map(|rest| {
        let name_end = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        Tag {
            name: rest[..name_end].trim_end_matches('/').to_ascii_lowercase(),
            attributes: attributes(&rest[name_end..]),
        }
    })
}

/// `name="value"`, `name='value'`, `name=value` and `name`, up to the tag's end.
fn attributes(mut rest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        if end == 0 {
            return found;
        }
        let name = rest[..end].to_ascii_lowercase();
        rest = &rest[end..];
        let value = match rest.strip_prefix('=') {
            None => "",
            Some(after) => {
                let (value, after) = match after.chars().next() {
                    Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                    _ => after.split_at(after.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(after.len())),
                };
                rest = after;
                value
            }
        };
        found.push((name, html_escape::decode_html_entities(value).into_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!doctype html><form action="/search"><input name=q></form>
        <FORM method="post" action="?a=1&amp;b=2"><input type="hidden" name="t" value="x&quot;y"/>
        <label>Name <input name='name' required></label><textarea name="comment" rows=3></textarea>
        <input type=checkbox name=never><input type=checkbox name=always value=1 checked>
        <button name="decision" value="Approved">Approve</button><button name=decision value=Rejected>Reject</button></form>
        <form method=post><input name=other></form>"#;

    #[test]
    fn a_form_sends_what_a_browser_would_send() {
        let mut form = Form::read(PAGE).unwrap();
        assert_eq!(form.action, "?a=1&b=2");
        form.fill("name", "Ada");
        form.fill("t", "not this one");
        form.choose("approve").unwrap();
        let sent: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(sent, [("t", "x\"y"), ("name", "Ada"), ("comment", ""), ("always", "1"), ("decision", "Approved")]);
    }

    #[test]
    fn a_page_without_a_form_to_send_is_refused() {
        assert!(Form::read("<form action=/search></form>").is_err());
        assert!(Form::read("< <form method=").is_err());
    }

    #[test]
    fn a_choice_that_is_not_there_is_named() {
        assert!(Form::read(PAGE).unwrap().choose("maybe").unwrap_err().to_string().contains("maybe"));
    }
}
