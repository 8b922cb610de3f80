//! Files: one suite for every place where they can be kept.

#![expect(clippy::unwrap_used, reason = "helpers outside of test functions fail the test too")]

mod buckets;
mod local;
mod place;
#[path = "../support/s3_server.rs"]
mod s3_server;
mod suite;
#[path = "../support/unsteady_proxy.rs"]
mod unsteady_proxy;
#[path = "../support/waiting.rs"]
mod waiting;

/// Every case of the suite in every place, each time with a place of its own.
macro_rules! in_every_place {
    ($($case:ident),+ $(,)?) => {
        in_every_place!(@place memory, $($case),+);
        in_every_place!(@place folder, $($case),+);
        in_every_place!(@place bucket, $($case),+);
    };
    (@place $place:ident, $($case:ident),+) => {
        mod $place {
            $(
                #[tokio::test]
                async fn $case() {
                    if let Some(place) = crate::place::Place::$place().await {
                        crate::suite::$case(&place).await;
                    }
                }
            )+
        }
    };
}

in_every_place! {
    files_come_back_and_go,
    copies_outlive_their_source_and_are_young,
    parts_of_a_file_are_streamed,
    jobs_and_uploads_go_as_a_whole,
    uploads_of_earlier_versions_go_too,
    files_nobody_knows_are_found,
}
