//! The cases, by screen.

mod acts;
mod approval;
mod console;
mod edit;
mod logs;

e2e::cases! {
    approval::approval_in_every_look;
    approval::approval_by_keyboard;
    approval::approval_without_scripts;
    approval::approval_with_faults;
    approval::approval_by_two_at_once;
    approval::approval_links_that_are_over;
    approval::approval_with_hostile_words;
    approval::approval_says_what_it_decides;
    approval::approval_by_itself;
    console::console_pipelines;
    console::console_follows_a_release;
    console::console_other_screens;
    console::console_pictures;
    console::console_not_found_and_forbidden;
    console::console_with_hostile_words;
    logs::console_shows_a_log;
    acts::console_starts_approves_rejects_stops;
    acts::console_retries_closes_opens_rolls_back;
    acts::console_overrides_a_condition;
    acts::console_by_keyboard;
    acts::console_by_two_at_once;
    edit::console_edits_a_definition;
    edit::console_edits_without_a_mouse;
    edit::console_refuses_what_is_stale;
}
