//! Server-sent events, of which the protocol uses the data alone.

/// Splits a stream into the data of its events, as it comes.
#[derive(Default)]
pub struct EventSplitter {
    /// What came of a line.
    line: Vec<u8>,
    /// What came of an event.
    data: Vec<u8>,
}

impl EventSplitter {
    /// The data of the events that `bytes` complete, each on one line: a line break between two parts of JSON is a space.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if !part.ends_with(b"\n") {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(data) = line.strip_prefix(b"data:") {
                if !self.data.is_empty() {
                    self.data.push(b' ');
                }
                self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            } else if line.is_empty() && !self.data.is_empty() {
                complete.push(std::mem::take(&mut self.data));
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] =
        b": ping\n\ndata:\n\nid: 1\nretry: 3000\ndata: {\"a\":\ndata:1}\n\nevent: x\r\ndata: {}\r\n\r\ndata: cut";

    #[test]
    fn events_say_what_their_data_is() {
        let events = EventSplitter::default().push(STREAM);
        assert_eq!(events, [&b"{\"a\": 1}"[..], b"{}"]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_stream_is_cut(cuts in prop::collection::vec(0..STREAM.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut splitter = EventSplitter::default();
            let events: Vec<_> = cuts.windows(2).flat_map(|pair| splitter.push(&STREAM[pair[0]..pair[1]])).collect();
            prop_assert_eq!(events, EventSplitter::default().push(STREAM));
        }
    }
}
