use super::*;
use proptest::prelude::*;

type Codec = FrameCodec<String>;

fn bytes_of(frame: &Frame<String>) -> Vec<u8> {
    let mut bytes = frame.head().unwrap();
    frame.attachments.iter().for_each(|attachment| bytes.extend_from_slice(attachment));
    bytes
}

fn decode_all(bytes: &[u8]) -> Result<Vec<Frame<String>>, FrameError> {
    let mut reader = FrameReader::<_, String>::new(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

fn framed(header: &str) -> Vec<u8> {
    [&MARK[..], &(header.len() as u32).to_be_bytes(), header.as_bytes()].concat()
}

prop_compose! {
    fn any_frame()(message: String, attachments in prop::collection::vec(any::<Vec<u8>>(), 0..4)) -> Frame<String> {
        Frame { message, attachments: attachments.into_iter().map(Bytes::from).collect() }
    }
}

proptest! {
    #[test]
    fn frames_arrive_as_they_were_however_the_pipe_cuts_them(
        frames in prop::collection::vec(any_frame(), 1..4),
        piece in 1_usize..50,
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
        let (mut codec, mut buffer, mut arrived) = (Codec::default(), BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                arrived.push(frame);
            }
        }
        prop_assert_eq!(arrived, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = decode_all(&bytes);
        let _ = decode_all(&[&MARK[..], &bytes].concat());
    }

    #[test]
    fn no_header_makes_it_panic(header: String, lengths: Vec<u64>, rest: Vec<u8>) {
        let _ = decode_all(&[framed(&header), rest.clone()].concat());
        let header = serde_json::json!({"message": "", "attachments": lengths}).to_string();
        let _ = decode_all(&[framed(&header), rest].concat());
    }

    #[test]
    fn a_cut_stream_ends_without_a_frame_too_many(frame in any_frame(), cut in any::<prop::sample::Index>()) {
        let bytes = bytes_of(&frame);
        let frames = decode_all(&bytes[..cut.index(bytes.len())]).unwrap();
        prop_assert!(frames.is_empty());
    }
}

#[test]
fn other_bytes_are_noticed_at_once() {
    for bytes in [&b"h"[..], b"hello, world\n", b"\x00AI", b"\x00AIe\x00\x00\x00\x01"] {
        match (decode_all(bytes), bytes[0]) {
            (Err(FrameError::NotAFrame), b'h') | (Ok(_), 0) => {}
            (other, _) => panic!("{bytes:?}: {other:?}"),
        }
    }
    assert!(matches!(decode_all(&framed("{}")), Err(FrameError::Header(_))));
    assert!(matches!(decode_all(&framed("not JSON")), Err(FrameError::Header(_))));
}

#[test]
fn promises_beyond_the_limits_are_refused_before_memory_is_taken() {
    let large = |bytes: &[u8]| matches!(decode_all(bytes), Err(FrameError::TooLarge { .. }));
    assert!(large(&[&MARK[..], &u32::MAX.to_be_bytes()].concat()));
    assert!(large(&framed(&format!("{{\"message\":\"\",\"attachments\":[{}]}}", MAX_ATTACHMENT_BYTES + 1))));
    assert!(large(&framed(&format!("{{\"message\":\"\",\"attachments\":[{0},{0}]}}", u64::MAX))));
    let many = vec!["0"; MAX_ATTACHMENTS + 1].join(",");
    assert!(large(&framed(&format!("{{\"message\":\"\",\"attachments\":[{many}]}}"))));
    let (mut codec, mut buffer) = (Codec::default(), BytesMut::new());
    buffer.extend_from_slice(&framed(&format!("{{\"message\":\"\",\"attachments\":[{MAX_ATTACHMENT_BYTES}]}}")));
    assert!(codec.decode(&mut buffer).unwrap().is_none());
    assert!(buffer.capacity() < 4 * READ_AHEAD_BYTES);
}

#[test]
fn what_the_other_side_would_refuse_is_not_sent() {
    let frame = Frame::from("x".repeat(MAX_HEADER_BYTES));
    assert!(matches!(frame.head(), Err(FrameError::TooLarge { .. })));
    let frame = Frame { message: String::new(), attachments: vec![Bytes::new(); MAX_ATTACHMENTS + 1] };
    assert!(matches!(frame.head(), Err(FrameError::TooLarge { .. })));
}
