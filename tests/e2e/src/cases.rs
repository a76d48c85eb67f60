//! The cases, by what they are about.

pub use under_fire::asked as asked_executions;

mod api;
mod approval;
mod audited;
mod builds;
mod changes;
mod clients;
mod commands;
mod conditions;
mod configurations;
mod conflicts;
mod console;
mod day;
mod doctor;
mod events;
mod executor;
mod failing;
mod functions;
mod invokes;
mod job_workers;
mod jobs;
mod killed;
mod modes;
mod notified;
mod provider_emulator;
mod proxy;
mod regions;
mod release;
mod retry;
mod roles;
mod rollback;
mod rules;
mod services;
mod stacks;
mod stop;
mod third_party;
mod traced;
mod transitions;
mod triggers;
mod under_fire;
mod upgraded;
mod variables;
mod webhooks;

/// Makes `ALL` of the functions that are named: every case of a suite, in this order. Those that disturb others are `(alone)`.
#[macro_export]
macro_rules! cases {
    ($($module:ident::$name:ident $(($alone:ident))?;)+) => {
        /// Every case of the suite, in the order of this list.
        pub const ALL: &[$crate::Entry] = &[$($crate::Entry {
            name: stringify!($name),
            alone: [$(stringify!($alone),)? ""][0].len() > 0,
            run: |case| Box::pin(async move { $module::$name(&case).await }),
        },)+];
    };
}

cases! {
    release::release_by_object;
    regions::three_regions_and_two_accounts;
    approval::approval_by_link;
    approval::rejection_by_link;
    approval::link_forged_or_expired;
    approval::link_of_what_is_gone;
    audited::audit_log;
    builds::builds_deployed;
    builds::builds_that_fail;
    commands::commands_run;
    commands::commands_that_fail;
    failing::failing_sources;
    failing::failing_zips;
    failing::failing_actions;
    events::state_changes;
    triggers::started_by_rule;
    triggers::started_once;
    triggers::started_by_image;
    triggers::started_by_poll;
    triggers::started_by_cloudtrail;
    triggers::started_by_schedule;
    transitions::superseded;
    modes::queued_one_after_the_other;
    modes::parallel_side_by_side;
    conflicts::one_winner;
    conflicts::mode_changed_while_it_runs;
    stacks::stacks_by_change_set;
    stacks::stacks_that_fail;
    stacks::nested_stacks;
    services::images_deployed;
    functions::functions_deployed;
    configurations::configurations_deployed;
    invokes::another_pipeline_awaited;
    invokes::another_pipeline_fails;
    stop::stopped_when_its_action_ends;
    stop::stopped_and_abandoned;
    retry::retried_by_hand;
    retry::retried_by_itself;
    roles::one_role_for_a_release;
    rollback::rolled_back_by_hand;
    rollback::rolled_back_by_itself;
    conditions::skipped_by_condition;
    conditions::failed_condition_overridden;
    conditions::conditions_of_a_function;
    rules::alarms_of_conditions;
    rules::windows_of_conditions;
    variables::variables_flow;
    jobs::job_in_turns;
    jobs::job_reports;
    jobs::job_never_reported;
    job_workers::jobs_of_a_custom_action;
    job_workers::jobs_of_a_custom_action_whose_store_has_no_key;
    third_party::third_party_in_turns;
    third_party::third_party_fails;
    executor::executed_by_a_function;
    executor::functions_that_fail;
    traced::release_traced;
    notified::told_once;
    notified::slow_looked_at;
    changes::changed_while_it_runs;
    changes::deleted_while_it_runs;
    api::refusals_in_json;
    api::refusals_in_cbor;
    api::refusals_of_operations;
    api::cbor_from_end_to_end;
    api::pages_and_tags;
    webhooks::webhooks_kept;
    webhooks::webhooks_start;
    webhooks::webhooks_name_the_commit;
    webhooks::connections_start;
    clients::boto3_and_cli;
    console::console_through_the_proxy;
    proxy::clients_through_the_proxy;
    proxy::policies_by_path;
    proxy::function_with_the_extension;
    proxy::layer_published;
    day::scripted_day;
    provider_emulator::deployed_to_what_emulators_lack (alone);
    traced::cost_counted (alone);
    doctor::ailments_found (alone);
    killed::killed_trigger (alone);
    under_fire::under_fire (alone);
    killed::killed_functions (alone);
    upgraded::released_during_upgrades (alone);
}
