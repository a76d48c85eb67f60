//! What is not there is not written.

/// Whether a member has its default. A stage has up to 50 runs in its item, which each step writes whole, so such members are
/// left out.
pub(crate) fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
