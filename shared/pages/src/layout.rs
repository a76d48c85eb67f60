//! A whole page: its head, its bar, its style and its policy.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::state::symbols;

/// The style of a picture that is no part of a page (SVG): the same colours, in light and dark, and the same shapes.
pub const PICTURE_STYLE: &str = concat!(include_str!("palette.css"), include_str!("picture.css"));

/// The style of every page; a policy knows it by its hash.
pub const STYLE: &str = concat!(include_str!("palette.css"), include_str!("style.css"));

/// A page.
#[derive(Debug)]
pub struct Layout<'a> {
    /// What the browser's tab says, without `Millrace`.
    pub title: &'a str,
    /// Where the name in the bar leads; none where it leads nowhere: not everybody who sees a page can see the others.
    pub home: Option<&'a str>,
    /// What stands in the bar beside the name: where else one can go.
    pub nav: Markup,
    /// What the page is for.
    pub main: Markup,
    /// What stands behind it and is no part of what is updated.
    pub rest: Markup,
    /// A class of `body`.
    pub class: &'a str,
    /// The page's script, if it has one; the policy must know it too.
    pub script: Option<&'a str>,
    /// What names the state of `main`, for a script that asks whether there is a newer one.
    pub version: Option<&'a str>,
}

impl Layout<'_> {
    /// The page as an HTML document.
    #[must_use]
    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Millrace" }
                    style { (PreEscaped(STYLE)) }
                }
                body class=(self.class) {
                    (symbols())
                    a class="skip" href="#main" { "To the content" }
                    header class="bar" {
                        a class="home" href=[self.home] {
                            svg viewBox="0 0 24 16" aria-hidden="true" {
                                path d="M1 11c3 0 3-3 5.5-3S9 11 12 11s3-3 5.5-3S20 11 23 11" {}
                                path d="M1 15c3 0 3-3 5.5-3S9 15 12 15s3-3 5.5-3S20 15 23 15" {}
                                path d="M12 1v6M8 4h8" {}
                            }
                            "Millrace"
                        }
                        @if self.home.is_some() { nav aria-label="Console" { (self.nav) } }
                        p class="live" id="live" role="status" {}
                    }
                    main id="main" tabindex="-1" data-version=[self.version] { (self.main) }
                    (self.rest)
                    @if let Some(script) = self.script { script { (PreEscaped(script)) } }
                }
            }
        };
        page.into_string()
    }
}

/// The `Content-Security-Policy` of a page: nothing is loaded or framed, style and script are known by their hashes, and a
/// script may ask only where the page came from.
#[must_use]
pub fn policy(script: Option<&str>) -> String {
    let script = script.map(|script| format!("; script-src 'sha256-{}'; connect-src 'self'", hash(script)));
    format!(
        "default-src 'none'; style-src 'sha256-{}'{}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        script.unwrap_or_default()
    )
}

/// The `Content-Security-Policy` of a picture with [`PICTURE_STYLE`] that is opened by itself: nothing is loaded, run or framed.
#[must_use]
pub fn policy_of_picture() -> String {
    let style = hash(PICTURE_STYLE);
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn hash(content: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(content))
}

/// What a page says that has nothing else to show: a heading, a sentence or two, and what can be done.
#[must_use]
pub fn notice(heading: &str, words: &Markup, then: &Markup) -> Markup {
    html! {
        section class="notice" {
            h1 { (heading) }
            div class="words" { (words) }
            div class="then" { (then) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_loads_nothing_and_has_no_style_or_handler_inline() {
        let script = "'use strict';";
        let page = Layout {
            title: "<Release>",
            home: Some("/console"),
            nav: html! { a href="/console" { "Pipelines" } },
            main: notice("Nothing here", &html! { "No." }, &html! {}),
            rest: html! {},
            class: "",
            script: Some(script),
            version: Some("1"),
        };
        let html = page.html();
        for loads in [" src=", " style=", "<link", "@import", "url(", " onclick="] {
            assert!(!html.contains(loads), "{loads}");
        }
        assert!(html.contains("<title>&lt;Release&gt; · Millrace</title>"));
        let policy = policy(Some(script));
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && policy.contains("script-src 'sha256-"));
        assert!(!policy.contains("unsafe"));
    }

    /// Relative luminance and contrast as WCAG 2 defines them.
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_can_be_read_on_every_ground_that_it_stands_on_in_light_and_dark() {
        let palettes: Vec<&str> =
            STYLE.split("/* palette */").skip(1).map(|it| it.split('}').next().unwrap()).collect();
        assert_eq!(palettes.len(), 2);
        for palette in palettes {
            let colour = |name: &str| {
                let at = palette.find(&format!("--{name}: #")).unwrap_or_else(|| panic!("{name}"));
                &palette[at + name.len() + 4..][..7]
            };
            for state in ["failed", "waiting", "running", "stopped", "superseded", "succeeded"] {
                for ground in ["ground", "card", &format!("{state}-ground")] {
                    let found = contrast(colour(state), colour(ground));
                    assert!(found >= 4.5, "{state} on {ground}: {found:.2}");
                }
                let found = contrast(colour("soft"), colour(&format!("{state}-ground")));
                assert!(found >= 4.5, "soft on {state}-ground: {found:.2}");
            }
            for ink in ["ink", "soft", "accent"] {
                for ground in ["ground", "card"] {
                    let found = contrast(colour(ink), colour(ground));
                    assert!(found >= 4.5, "{ink} on {ground}: {found:.2}");
                }
            }
        }
    }
}
