//! The seven states: shape, word and colour.

use maud::{Markup, html};

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It went wrong: red, an octagon with a cross.
    Failed,
    /// It waits for a person, a stage or a gate.
    Waiting,
    /// It runs: blue, an arc that turns.
    InProgress,
    /// Somebody ended it: violet, a square.
    Stopped,
    /// A newer one overtook it.
    Superseded,
    /// It went well: green, a disc with a tick.
    Succeeded,
    /// Its turn has not come.
    DidNotRun,
}

impl State {
    /// All of them, what needs attention first.
    pub const ALL: [Self; 7] = [
        Self::Failed,
        Self::Waiting,
        Self::InProgress,
        Self::Stopped,
        Self::Superseded,
        Self::Succeeded,
        Self::DidNotRun,
    ];

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::InProgress => "in progress",
            Self::Stopped => "stopped",
            Self::Superseded => "superseded",
            Self::Succeeded => "succeeded",
            Self::DidNotRun => "did not run",
        }
    }

    /// The class that gives an element its colours, and the word for addresses.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::InProgress => "running",
            Self::Stopped => "stopped",
            Self::Superseded => "superseded",
            Self::Succeeded => "succeeded",
            Self::DidNotRun => "pending",
        }
    }

    /// The state with this class.
    #[must_use]
    pub fn of_class(class: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.class() == class)
    }

    /// The lines of the shape, in a square of 16 by 16: what is in them is in the current colour.
    #[must_use]
    pub fn shape(self) -> Markup {
        html! {
            @match self {
                Self::Succeeded => {
                    circle cx="8" cy="8" r="7" fill="currentColor" {}
                    path d="M4.6 8.3l2.3 2.3 4.5-5" class="cut" {}
                }
                Self::InProgress => {
                    circle cx="8" cy="8" r="6" class="ring" {}
                    path d="M8 2a6 6 0 0 1 6 6" class="arc" {}
                }
                Self::Failed => {
                    path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" fill="currentColor" {}
                    path d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2" class="cut" {}
                }
                Self::Waiting => {
                    path d="M8 .5L15.5 8 8 15.5.5 8z" fill="currentColor" {}
                    path d="M6.5 5.6v4.8M9.5 5.6v4.8" class="cut" {}
                }
                Self::Stopped => { rect x="2" y="2" width="12" height="12" rx="1.5" fill="currentColor" {} }
                Self::Superseded => { path d="M3 3l5 5-5 5M8.5 3l5 5-5 5" class="line" {} }
                Self::DidNotRun => { circle cx="8" cy="8" r="6" class="dots" {} }
            }
        }
    }

    /// The shape alone, with the word for whoever does not see it.
    #[must_use]
    pub fn mark(self) -> Markup {
        self.mark_as(self.word())
    }

    /// The shape alone, with a word of its own: `cancelled` is a way of being stopped.
    #[must_use]
    pub fn mark_as(self, word: &str) -> Markup {
        html! {
            svg class={ "mark " (self.class()) } role="img" aria-label=(word) {
                use href={ "#s-" (self.class()) } {}
            }
        }
    }

    /// The shape alone, in what has the state's class and says the word.
    #[must_use]
    pub fn wordless_mark(self) -> Markup {
        html! { svg class="mark" aria-hidden="true" { use href={ "#s-" (self.class()) } {} } }
    }

    /// Shape and word.
    #[must_use]
    pub fn badge(self, word: &str) -> Markup {
        html! {
            span class={ "badge " (self.class()) } {
                svg class="mark" aria-hidden="true" { use href={ "#s-" (self.class()) } {} }
                (word)
            }
        }
    }
}

/// The shapes, once for each page.
#[must_use]
pub fn symbols() -> Markup {
    html! {
        svg width="0" height="0" class="symbols" aria-hidden="true" focusable="false" {
            @for state in State::ALL { symbol id={ "s-" (state.class()) } viewBox="0 0 16 16" { (state.shape()) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_shape_a_word_and_a_class_of_its_own() {
        let shapes = symbols().into_string();
        for state in State::ALL {
            assert_eq!(State::of_class(state.class()), Some(state));
            assert!(shapes.contains(&format!("id=\"s-{}\"", state.class())), "{state:?}");
            assert!(state.mark().into_string().contains(&format!("aria-label=\"{}\"", state.word())));
            assert_eq!(State::ALL.iter().filter(|other| other.word() == state.word()).count(), 1);
        }
        assert_eq!(State::of_class("odd"), None);
    }
}
