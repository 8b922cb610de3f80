//! What processes say to each other: one JSON value a line, empty lines to show that somebody is still there.

use afterimage_core::Stage;
use afterimage_jobs::Timestamp;
use afterimage_jobs::progress::{Event, Noted};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Longest line: a preview is some ten kilobytes.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// An event, as it is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Stage(Stage),
    Step { done: u32, total: u32 },
    Preview(String),
}

/// An event of before, as it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SaidBefore {
    at: i64,
    event: Said,
}

/// The line of an event.
pub(super) fn line(event: &Event) -> Bytes {
    let said = Said::from(event);
    // Names and numbers always have a JSON text; an empty line is no event.
    let mut line = serde_json::to_vec(&said).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// The event of a line; `None` for an empty one, and for what only another version says.
pub(super) fn event(line: &str) -> Option<Event> {
    serde_json::from_str::<Said>(line).ok()?.into_event()
}

impl From<&Event> for Said {
    fn from(event: &Event) -> Self {
        match event {
            Event::Stage(stage) => Self::Stage(*stage),
            Event::Step { done, total } => Self::Step { done: *done, total: *total },
            Event::Preview(jpeg) => Self::Preview(STANDARD.encode(jpeg)),
        }
    }
}

impl Said {
    fn into_event(self) -> Option<Event> {
        Some(match self {
            Self::Stage(stage) => Event::Stage(stage),
            Self::Step { done, total } => Event::Step { done, total },
            Self::Preview(text) => Event::Preview(STANDARD.decode(text).ok()?.into()),
        })
    }
}

impl From<&Noted> for SaidBefore {
    fn from(noted: &Noted) -> Self {
        Self { at: noted.at.0, event: Said::from(&noted.event) }
    }
}

impl SaidBefore {
    pub(super) fn into_noted(self) -> Option<Noted> {
        Some(Noted { at: Timestamp(self.at), event: self.event.into_event()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            prop::sample::select(vec![Stage::Load, Stage::Denoise, Stage::Decode]).prop_map(Event::Stage),
            (any::<u32>(), any::<u32>()).prop_map(|(done, total)| Event::Step { done, total }),
            prop::collection::vec(any::<u8>(), 0..500).prop_map(|bytes| Event::Preview(bytes.into())),
        ]
    }

    proptest! {
        #[test]
        fn every_event_arrives(sent in any_event()) {
            let line = line(&sent);
            let text = std::str::from_utf8(&line).unwrap();
            prop_assert!(text.ends_with('\n') && text.matches('\n').count() == 1);
            prop_assert_eq!(event(text.trim_end()), Some(sent));
        }

        #[test]
        fn nothing_that_is_said_does_harm(text: String) {
            event(&text);
        }
    }

    #[test]
    fn the_lines_stay_what_other_versions_read() {
        let lines = [
            (Event::Stage(Stage::Denoise), "{\"stage\":\"denoise\"}\n"),
            (Event::Step { done: 3, total: 20 }, "{\"step\":{\"done\":3,\"total\":20}}\n"),
            (Event::Preview(Bytes::from_static(b"jpeg")), "{\"preview\":\"anBlZw==\"}\n"),
        ];
        for (event, text) in lines {
            assert_eq!(line(&event), text.as_bytes());
        }
        assert_eq!(event("{\"fanfare\":1}"), None);
        assert_eq!(event(""), None);
    }
}
