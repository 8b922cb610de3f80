use super::*;
use crate::frame::{Frame, FrameReader};
use afterimage_core::{Error, Field, LoraChoice, Size, Task, VariationSettings};
use insta::assert_snapshot;
use proptest::prelude::*;

/// The header as it stands on the pipe.
fn spelled<M: Serialize>(message: M) -> String {
    let head = Frame::from(message).head().unwrap();
    String::from_utf8(head[8..].to_vec()).unwrap()
}

fn model() -> ModelFacts {
    ModelFacts {
        name: "demo".to_owned(),
        native_size: Size::new(64, 64),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        checkers: Vec::new(),
    }
}

#[test]
fn commands() {
    let request = GenerationRequest::new(Task::ImageToImage { strength: 0.5 });
    let sources = vec![Bytes::from_static(b"an attachment")];
    let work = Work { tenant: "t".to_owned(), request, format: OutputFormat::Png, sources };
    let lines = [
        spelled(Command::Generate { ticket: 1, work: Box::new(work), previews: false }),
        spelled(Command::Cancel { ticket: 1 }),
        spelled(Command::WatchPreviews { ticket: 1, on: true }),
        spelled(Command::Shutdown),
    ];
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn reports() {
    let facts =
        GenerationFacts { files_ms: Some(0.5), ..GenerationFacts::new(u64::MAX, Size::new(64, 64), 1, model()) };
    let lines = [
        spelled(Report::Ready {
            version: PROTOCOL_VERSION,
            model: model(),
            memory: "at most 6.1 GB of 8.0 GB".to_owned(),
        }),
        spelled(Report::FailedToOpen { message: "x: no such folder".to_owned(), bad_input: true }),
        spelled(Report::DeviceLost { message: "device cuda: an illegal memory access".to_owned() }),
        spelled(Report::Alive { progress: 7 }),
        spelled(Report::Started { ticket: 1 }),
        spelled(Report::Stage { ticket: 1, stage: Stage::ImageEncode }),
        spelled(Report::Step { ticket: 1, done: 2, total: 4 }),
        spelled(Report::Preview { ticket: 1 }),
        spelled(Report::Done { ticket: 1, facts: Box::new(facts) }),
        spelled(Report::Failed { ticket: 1, failure: Error::field(Field::Size, "too odd").into() }),
        spelled(Report::Cancelled { ticket: 1 }),
    ];
    assert_snapshot!(lines.join("\n"));
}

proptest! {
    /// A request must mean the same in the engine process, to the last bit of its numbers.
    #[test]
    fn requests_arrive_exactly(
        prompt: Option<String>,
        seed: Option<u64>,
        guidance in 1.0_f64..20.0,
        weights in prop::collection::vec(-10.0_f64..10.0, 0..4),
        redux_strength in 0.0_f64..1.0,
        size: Option<(u32, u32)>,
        loras in prop::collection::vec(("[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}", -4.0_f64..4.0), 0..3),
    ) {
        let settings = VariationSettings { image_weights: weights, redux_strength, ..VariationSettings::default() };
        let request = GenerationRequest {
            prompt,
            seed,
            guidance,
            size: size.map(|(width, height)| Size::new(width, height)),
            loras: loras.into_iter().map(|(name, scale)| LoraChoice { name: name.parse().unwrap(), scale }).collect(),
            ..GenerationRequest::new(Task::Variation(settings))
        };
        let work = Work { tenant: String::new(), request, format: OutputFormat::Jpeg, sources: Vec::new() };
        let sent = Command::Generate { ticket: 3, work: Box::new(work), previews: true };
        let bytes = Frame::from(sent.clone()).head().unwrap();
        let arrived = FrameReader::<_, Command>::new(&bytes[..]).next_frame().unwrap().unwrap();
        prop_assert_eq!(arrived.message, sent);
    }
}
