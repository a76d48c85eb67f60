//! The look of Millrace's pages, and the parts that they are made of.
//!
//! # The visual language
//!
//! A millrace is a channel that carries water to a wheel. The pages are drawn like a plan of one: quiet paper, thin lines, a
//! channel from left to right with gates in it. What deserves attention has colour; everything else is ink. Nothing moves
//! that does not run.
//!
//! **Type.** The reader's own system face, and its fixed-width one for what is copied: ids, digests, revisions. Six sizes: 0.75
//! (labels), 0.8125 (facts), 0.875 (tables and cards), 0.9375 (text), 1.125 (names of things), 1.5 rem (the name of the page); the
//! wall has larger names and counts. Weight 600 for names, 400 for the rest, never lighter. Figures have one width, so that columns
//! of them can be compared. Labels are sentences or words in lower case, never shouted.
//!
//! **Space.** Steps of 0.25 rem: 0.25 within a mark and its word, 0.5 within a thing, 0.75 around it, 1.5 between sections.
//! Corners are 6 px, smaller inside of another thing; lines 1 px. No shadows but under a dialog. What is rarely wanted (close a
//! gate, roll back) is a quiet button without an edge.
//!
//! **States.** Seven, each with a shape, a word and a colour; two of the three are enough to know it, so that neither a printer nor
//! an eye that sees no red loses anything.
//!
//! | state | shape | word | colour |
//! |---|---|---|---|
//! | it went well | full disc with a tick | succeeded | green |
//! | it runs | ring with an arc that turns | in progress | blue |
//! | it went wrong | octagon with a cross | failed | red |
//! | it waits for a person, a stage or a transition | diamond with two bars | waiting | amber |
//! | somebody ended it | square | stopped, cancelled | violet |
//! | a newer one overtook it | two chevrons | superseded | grey |
//! | its turn has not come | dotted ring | did not run | grey, thin |
//!
//! A stage, a row or a tile takes its state's colour as a thin edge and a faint ground, never as a full one: twenty red things on
//! a wall must still be readable.
//!
//! **Motion.** One: the arc of what runs, a turn in 1.6 s. Updates replace what has changed in place, without fading or sliding.
//! Who asks for reduced motion gets an arc that stands.
//!
//! **Light and dark** are the same plan on other paper, by `prefers-color-scheme`. All text has a contrast of 4.5 to 1 or more on
//! every ground that it stands on, marks of 3 to 1.
//!
//! **Words.** CodePipeline's for its concepts. A time is how long ago, with the time in UTC behind it; a duration has two units
//! ("2 m 13 s"); an id is its first eight characters, with the whole behind it. What failed says why, in full. What waits says
//! for what, in a sentence. An empty page says what will be there, and how it gets there.
//!
//! **Much of it.** Where there is more than anybody reads, it is folded: how many stand how, those that need attention, and a link
//! to all. A page has less than 100 KB. What differs is told by a sign, a word and a colour, line by line.
//!
//! **Reading without a mouse, a script, or a large screen.** Everything that opens is a link or a `<details>`. Focus is a ring of
//! 2 px in ink. Nothing is told by hovering alone. Below 45 rem the channel turns and runs downwards.
//!
//! # What others do better, and what was taken from them
//!
//! - *Argo Workflows* draws the graph first and large, and selecting a node opens its facts beside it: so here, with the node in
//!   the page's address.
//! - *GitHub Actions* leads with the change in people's words (who, which commit) and with how long it took; so do all lists
//!   here. Its logs are within the page: ours shows their tail, and links to the service for the rest.
//! - *CodePipeline's console* shows transitions between the stages, and lets them be closed with a reason. It does not say why
//!   something waits or what waits behind it, and its page is reloaded whole.
//!
//! # The crate
//!
//! [`Layout`] is a whole page with its style and its policy; [`State`] the marks; [`ago`], [`took`] and the like times; [`name`] and [`text()`] whatever
//! came from outside, with what would turn or hide the text around it made visible; [`notice`] a page that has nothing else to
//! show. Pictures outside of pages have [`PICTURE_STYLE`]; the crate `pictures` draws them. No part knows AWS, and none loads anything: style and script are in the page, known to its policy by their hashes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod layout;
mod state;
mod text;
mod time;

pub use layout::{Layout, PICTURE_STYLE, STYLE, notice, policy, policy_of_picture};
pub use state::{State, symbols};
pub use text::{escaped, id, name, shown, text};
pub use time::{absolute, ago, readable, since, took, took_words};
