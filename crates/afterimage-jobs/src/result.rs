//! What a job made.

use afterimage_core::{Enlarge, GenerationFacts, ModelFacts, PictureFacts, Size, Timings};
use serde::{Deserialize, Serialize};

/// What a job made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct JobResult {
    /// About the generation and each of its pictures.
    pub facts: GenerationFacts,
    /// Files, one for each of [`GenerationFacts::pictures`].
    pub files: Vec<ResultFile>,
    /// Time with the worker, from the claim until its files were stored, milliseconds. Measured by a clock that does not
    /// jump, unlike the difference of [`crate::Job::started_at`] and [`crate::Job::finished_at`].
    pub run_ms: Option<u64>,
}

/// One file of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultFile {
    /// Blob path.
    pub blob: String,
    /// Media type, decided by us.
    pub content_type: String,
    /// Length of the file.
    pub bytes: u64,
    /// Digest of the file, hexadecimal.
    pub sha256: String,
}

impl JobResult {
    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Time in the engine, milliseconds.
    pub fn inference_ms(&self) -> u64 {
        self.facts.timings.total_ms.round() as u64
    }

    /// Each picture with its file, in the order of the generation.
    pub fn pictures(&self) -> impl Iterator<Item = (&PictureFacts, &ResultFile)> {
        self.facts.pictures.iter().zip(&self.files)
    }
}

/// A result as it lies in a row, by the version that wrote it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Now { facts: GenerationFacts, files: Vec<ResultFile>, run_ms: Option<u64> },
    Untyped(Untyped),
}

impl From<Stored> for JobResult {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Now { facts, files, run_ms } => Self { facts, files, run_ms },
            Stored::Untyped(untyped) => untyped.into(),
        }
    }
}

/// A result as versions up to 0.1.0 wrote it: sizes with the files, times and facts as any JSON.
#[derive(Deserialize)]
struct Untyped {
    outputs: Vec<UntypedOutput>,
    seed: u64,
    inference_ms: u64,
    run_ms: Option<u64>,
    timings: Option<UntypedTimings>,
    facts: Option<UntypedFacts>,
}

#[derive(Deserialize)]
struct UntypedOutput {
    width: u32,
    height: u32,
    #[serde(flatten)]
    file: ResultFile,
}

#[derive(Default, Deserialize)]
struct UntypedTimings {
    #[serde(flatten)]
    timings: Timings,
    files_ms: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UntypedFacts {
    model: String,
    device: String,
    dtype: String,
    steps_run: u32,
    image_cached: bool,
    text_cached: bool,
}

impl From<Untyped> for JobResult {
    fn from(untyped: Untyped) -> Self {
        let Untyped { outputs, seed, inference_ms, run_ms, timings, facts } = untyped;
        let total_ms = inference_ms as f64;
        let UntypedTimings { timings, files_ms } = timings
            .unwrap_or_else(|| UntypedTimings { timings: Timings { total_ms, ..Timings::default() }, files_ms: None });
        let UntypedFacts { model, device, dtype, steps_run, image_cached, text_cached } = facts.unwrap_or_default();
        let pictures: Vec<_> =
            outputs.iter().map(|output| PictureFacts::new(Size::new(output.width, output.height))).collect();
        // What was not kept then: nobody asks a result for its model's native size.
        let (unknown, enlarge) = (Size::new(0, 0), Enlarge::Auto);
        let size = pictures.first().map_or(unknown, |first| first.size);
        let model = ModelFacts { name: model, native_size: unknown, device, dtype, checkers: Vec::new() };
        let facts = GenerationFacts {
            steps_run,
            enlarge,
            timings,
            files_ms,
            image_cached,
            text_cached,
            pictures,
            ..GenerationFacts::new(seed, size, 0, model)
        };
        Self { facts, files: outputs.into_iter().map(|output| output.file).collect(), run_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 0.1.0 wrote it.
    const UNTYPED: &str = r#"{"outputs":[{"blob":"results/j/1/aa.png","content_type":"image/png","width":64,"height":48,
        "bytes":1234,"sha256":"aa"},{"blob":"results/j/1/bb.png","content_type":"image/png","width":64,"height":48,
        "bytes":1000,"sha256":"bb"}],"seed":18446744073709551615,"inference_ms":1235,"run_ms":1300,
        "timings":{"decode_ms":20.5,"denoise_ms":1200.25,"files_ms":7.5,"image_encode_ms":10.0,"load_ms":1.0,
        "text_encode_ms":3.0,"total_ms":1234.75},"facts":{"device":"cpu","dtype":"f32","image_cached":true,
        "model":"demo","steps_run":2,"text_cached":false}}"#;

    #[test]
    fn results_of_earlier_versions_are_read() {
        let read: JobResult = serde_json::from_str(UNTYPED).unwrap();
        let size = Size::new(64, 48);
        let facts = GenerationFacts {
            cache_threshold: None,
            loras: Vec::new(),
            seed: u64::MAX,
            variation_seed: None,
            size,
            steps_run: 2,
            enlarge: Enlarge::Auto,
            enlarged_from: None,
            timings: Timings {
                load_ms: 1.0,
                image_encode_ms: 10.0,
                text_encode_ms: 3.0,
                denoise_ms: 1200.25,
                decode_ms: 20.5,
                safety_ms: 0.0,
                total_ms: 1234.75,
            },
            files_ms: Some(7.5),
            image_cached: true,
            text_cached: false,
            model: ModelFacts {
                name: "demo".to_owned(),
                native_size: Size::new(0, 0),
                device: "cpu".to_owned(),
                dtype: "f32".to_owned(),
                checkers: Vec::new(),
            },
            safety: None,
            pictures: vec![PictureFacts::new(size); 2],
        };
        assert_eq!(read.facts, facts);
        assert_eq!((read.bytes(), read.inference_ms(), read.run_ms), (2234, 1235, Some(1300)));
        let first = ResultFile {
            blob: "results/j/1/aa.png".to_owned(),
            content_type: "image/png".to_owned(),
            bytes: 1234,
            sha256: "aa".to_owned(),
        };
        assert_eq!(read.pictures().next(), Some((&PictureFacts::new(size), &first)));
    }

    /// Before stages were timed.
    #[test]
    fn results_without_times_and_facts_are_read() {
        for rest in ["", r#","timings":null,"facts":null"#] {
            let text = format!(r#"{{"outputs":[],"seed":1,"inference_ms":7{rest}}}"#);
            let read: JobResult = serde_json::from_str(&text).unwrap();
            assert_eq!((read.facts.seed, read.inference_ms(), read.run_ms), (1, 7, None));
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let result: JobResult = serde_json::from_str(UNTYPED).unwrap();
        let text = serde_json::to_string(&result).unwrap();
        assert!(text.starts_with(r#"{"facts":"#), "in today's form: {text}");
        assert_eq!(serde_json::from_str::<JobResult>(&text).unwrap(), result);
    }
}
