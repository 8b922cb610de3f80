//! The suite that every store must pass.

mod activity;
mod claiming;
mod endings;
mod fetching;
mod keys;
mod ordering;
mod outbox;
mod reading;
mod retention;
mod submitting;
mod uploads;
mod usage;

use crate::fixtures::{Harness, Kind};

macro_rules! for_every_store {
    ($($module:ident: $($case:ident),+;)+) => {
        for_every_store!(@store memory, Kind::Memory, $($module: $($case),+;)+);
        for_every_store!(@store sqlite, Kind::Sqlite, $($module: $($case),+;)+);
        for_every_store!(@store postgres, Kind::Postgres, $($module: $($case),+;)+);
    };
    (@store $store:ident, $kind:expr, $($module:ident: $($case:ident),+;)+) => {
        mod $store {
            use super::*;
            $(mod $module {
                use super::*;
                $(
                    #[tokio::test]
                    async fn $case() {
                        let Some(harness) = Harness::new($kind).await else { return };
                        super::super::$module::$case(harness).await;
                    }
                )+
            })+
        }
    };
}

for_every_store! {
    submitting: a_job_comes_back_as_it_was_sent, it_survives_a_restart, the_same_id_finds_the_same_job,
        an_idempotency_key_finds_its_job, another_body_is_a_conflict, keys_do_not_share_idempotency_keys,
        an_unknown_key_is_refused, a_revoked_key_is_refused, a_repetition_can_be_looked_up, any_text_comes_back;
    ordering: a_burst_does_not_starve_others, an_overdue_burst_does_not_pass_newcomers,
        whoever_sends_one_after_the_other_takes_turns, dear_jobs_count_for_more, cancelled_jobs_do_not_count,
        priorities_are_worth_a_fixed_amount_of_work, a_high_job_passes_its_own_burst, the_queues_time_survives_a_restart,
        pictures_that_come_late_do_not_pass_newcomers,
        a_queue_that_idles_does_not_push_on_the_time_of_another;
    fetching: a_job_that_awaits_pictures_is_not_claimed, it_is_when_they_are_there, keys_can_be_passed_over,
        a_fetch_that_failed_ends_the_job, a_fetch_that_may_pass_is_retried_then_final, a_late_fetcher_is_refused,
        a_fetch_given_back_is_taken_again, waiting_for_pictures_can_be_cancelled_and_deleted,
        waiting_for_pictures_counts_as_waiting_for_a_start, restarts_fetch_again, the_price_is_that_of_what_was_made;
    claiming: first_come_first_served, limits_per_key_are_kept, claims_do_not_share_a_job,
        a_job_not_started_in_time_fails, a_started_job_has_no_start_limit,
        queues_of_models_are_apart, limits_per_key_hold_over_all_queues, positions_are_those_in_the_jobs_queue;
    endings: success_is_recorded, failure_is_recorded, a_paused_worker_is_refused, two_rescuers_count_once,
        two_deaths_end_in_quarantine, an_orderly_release_costs_nothing, storage_failures_are_retried_then_final,
        cancelling_a_waiting_job_ends_it, cancelling_a_running_job_asks_its_worker, a_cancelled_job_does_not_run_again,
        completion_beats_a_request_to_cancel, another_worker_cannot_write, renewal_keeps_a_job,
        terminal_states_never_change, restarts_rerun_running_jobs, a_clock_that_steps_back_is_harmless,
        a_worker_cannot_cancel_what_nobody_asked_to_end, a_stranger_changes_nothing, ends_are_counted_once;
    reading: lists_are_newest_first_and_paged, lists_can_be_filtered, keys_see_only_their_own, positions_count_jobs_ahead,
        depth_counts, spending_is_summed, the_longest_wait_is_known;
    retention: deleting_removes_what_was_said, deleting_a_waiting_job_cancels_it, deleting_a_running_job_stops_it,
        old_jobs_expire_and_are_forgotten, jobs_can_expire_earlier, jobs_with_open_webhooks_are_kept, files_follow_their_rows,
        orphans_are_found, what_is_due_can_be_asked, parts_of_uploads_wait_two_hours_for_the_rest;
    outbox: every_ending_writes_its_webhook_once, leases_keep_two_senders_apart, failures_are_tried_again_or_given_up,
        deliveries_survive_a_restart, keys_take_turns, a_postponed_webhook_comes_first_and_loses_no_try;
    keys: a_key_is_found_by_its_text_only, given_texts_work_and_are_kept_once, revoked_keys_are_not_found,
        roles_are_kept, the_server_secret_stays, a_keys_jobs_can_all_be_cancelled;
    uploads: an_upload_is_completed_once, an_upload_can_come_complete, uploads_expire,
        uploads_can_expire_earlier, revoked_keys_send_nothing;
    activity: what_keys_had_made_is_summed_by_day, the_busiest_keys_are_told_apart, failures_are_told_the_last_first;
    usage: uploads_count_until_their_files_are_gone, results_count_until_they_are_swept,
        a_job_deleted_while_it_runs_counts_its_files, pictures_count_when_they_were_fetched, each_key_has_its_own_sum;
}
