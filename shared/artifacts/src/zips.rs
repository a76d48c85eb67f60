//! Artifacts that are zips. Whoever made one may have meant harm: nothing in it is believed before it is checked, and
//! no size is believed before it is counted.

mod archive;
mod contents;
mod error;
mod names;
mod recognize;
mod remote;
mod write;

pub use archive::Entry;
pub use contents::{ContentStream, Contents, Unpacked, Zip};
pub use error::{InvalidZip, ZipLimits};
pub use remote::RemoteZip;
pub use write::{ZipBuilder, without_top_folder, write_zip};

#[cfg(test)]
mod tests;
