//! The cases, by screen.

mod approval;

e2e::cases! {
    approval::approval_in_every_look;
    approval::approval_by_keyboard;
    approval::approval_without_scripts;
    approval::approval_with_faults;
    approval::approval_by_two_at_once;
    approval::approval_links_that_are_over;
    approval::approval_with_hostile_words;
}
