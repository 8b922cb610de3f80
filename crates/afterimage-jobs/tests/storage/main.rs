//! Files: one suite for every place where they can be kept.

#![expect(clippy::unwrap_used, reason = "helpers outside of test functions fail the test too")]

mod local;
mod place;
mod suite;

/// Every case of the suite in every place, each time with a place of its own.
macro_rules! in_every_place {
    ($($case:ident),+ $(,)?) => {
        in_every_place!(@place memory, $($case),+);
        in_every_place!(@place folder, $($case),+);
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
}
