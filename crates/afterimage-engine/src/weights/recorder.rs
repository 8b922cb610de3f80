//! Which tensors a model asks for, told by its own constructor.

use super::source::{Footprint, KeptBytes, Scope, TensorSource};
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, SharedBytes, StoredTensor};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that all recorded matrices share. They are zeros that nobody touches, so they take no memory; most matrices of
/// FLUX.1 fit them in one piece, larger ones repeat them.
const ZEROS: usize = 1 << 26;

/// Pieces of one matrix: a configuration's absurd sizes cannot ask for more.
const MOST_PIECES: usize = 1 << 12;

/// Numbers of all biases, scales and tables together, which are real memory. FLUX.1-dev has 3 million.
const MOST_VALUES: usize = 1 << 26;

/// A tensor that a model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Canonical name.
    pub name: String,
    /// Shape, slowest dimension first.
    pub shape: Vec<usize>,
}

impl Wanted {
    /// Numbers in the tensor, saturating.
    pub fn numbers(&self) -> usize {
        self.shape.iter().fold(1, |numbers, side| numbers.saturating_mul(*side))
    }
}

/// A [`TensorSource`] that has every tensor one asks for, all zeros, and notes what was asked for.
struct Recorder {
    zeros: SharedBytes,
    noted: Mutex<NotedTensors>,
}

#[derive(Default)]
struct NotedTensors {
    wanted: Vec<Wanted>,
    values: usize,
}

/// What `build` asks its scope for, in that order. An error of `build` comes with what was asked for until then: sizes
/// beyond those of any model, or those that contradict each other.
pub fn record<T>(build: impl FnOnce(&Scope) -> Result<T>) -> (Vec<Wanted>, Result<()>) {
    let recorder =
        Arc::new(Recorder { zeros: SharedBytes::new(vec![0_u8; ZEROS]), noted: Mutex::new(NotedTensors::default()) });
    let result = build(&Scope::new(Arc::clone(&recorder) as Arc<dyn TensorSource>)).map(drop);
    let wanted = std::mem::take(&mut recorder.noted().wanted);
    (wanted, result)
}

/// What all of `wanted` will take of memory on a device; those that are not there take nothing.
pub fn footprint(scope: &Scope, wanted: &[Wanted], kept: KeptBytes<'_>) -> Footprint {
    let of = |wanted: &Wanted| scope.footprint(&wanted.name, &wanted.shape, kept).unwrap_or_default();
    wanted.iter().map(of).fold(Footprint::default(), Footprint::and)
}

impl Recorder {
    fn noted(&self) -> std::sync::MutexGuard<'_, NotedTensors> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: &str, shape: &[usize]) {
        self.noted().wanted.push(Wanted { name: name.to_owned(), shape: shape.to_vec() });
    }
}

impl TensorSource for Recorder {
    fn path(&self) -> PathBuf {
        PathBuf::from("<recorder>")
    }

    fn has(&self, _name: &str) -> bool {
        true
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        self.note(name, shape);
        let (mut rows, inner) = shape.split_first().map_or((1, shape), |(first, inner)| (*first, inner));
        let cols = inner.iter().try_fold(1_usize, |cols, side| cols.checked_mul(*side));
        // One byte a number, 0 for the number 0.
        let rows_at_once = cols.map_or(0, |cols| ZEROS / cols.max(1));
        if rows_at_once == 0 || rows / rows_at_once >= MOST_PIECES {
            return Err(too_large(name, shape));
        }
        let mut pieces = Vec::new();
        loop {
            let count = rows.min(rows_at_once);
            let shape = [&[count], inner].concat();
            let bytes = self.zeros.slice(0..count * cols.unwrap_or(0));
            let piece = bytes.and_then(|bytes| StoredTensor::new(name, shape, Element::F8E4M3, bytes));
            pieces.push(piece.ok_or_else(|| too_large(name, inner))?);
            rows -= count;
            if rows == 0 {
                return Ok(pieces);
            }
        }
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.note(name, shape);
        let numbers = shape.iter().try_fold(1_usize, |numbers, side| numbers.checked_mul(*side));
        let mut noted = self.noted();
        let values = numbers.and_then(|numbers| noted.values.checked_add(numbers));
        match (numbers, values) {
            (Some(numbers), Some(values)) if values <= MOST_VALUES => {
                noted.values = values;
                Ok(vec![0.0; numbers])
            }
            _ => Err(too_large(name, shape)),
        }
    }
}

fn too_large(name: &str, shape: &[usize]) -> Error {
    Error::internal(format!("{name}: {shape:?} is more than any known model needs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_of_any_size_share_their_bytes() {
        let source = Recorder { zeros: SharedBytes::new(vec![0_u8; ZEROS]), noted: Mutex::default() };
        let one = source.rows("a.weight", &[3072, 3072]).unwrap();
        let several = source.rows("b.weight", &[18_432, 12_288]).unwrap();
        assert_eq!((one.len(), several.len()), (1, 4));
        assert_eq!(several.iter().map(StoredTensor::numbers).sum::<usize>(), 18_432 * 12_288);
        assert!(one.iter().chain(&several).all(|piece| piece.bytes().as_ptr() == source.zeros.as_ptr()));
        assert_eq!(source.rows("empty", &[0, 5]).unwrap().len(), 1);
    }

    #[test]
    fn requests_are_noted_in_order() {
        let (wanted, result) = record(|scope| {
            let layer = scope.at("layer");
            assert!(layer.has("weight"));
            assert_eq!(layer.matrix("weight", 70_000, 5_000)?.rows(), 70_000);
            assert_eq!(layer.kernel("kernel", &[8, 4, 3, 3])?.cols(), 36);
            assert_eq!(layer.vector("bias", 3)?, [0.0; 3]);
            Ok(())
        });
        result.unwrap();
        let names: Vec<&str> = wanted.iter().map(|wanted| wanted.name.as_str()).collect();
        assert_eq!(names, ["layer.weight", "layer.kernel", "layer.bias"]);
        assert_eq!((wanted[0].numbers(), wanted[1].numbers()), (350_000_000, 288));
    }

    #[test]
    fn absurd_sizes_end_the_recording() {
        for shape in [[1 << 40, 1 << 20], [usize::MAX, usize::MAX], [2, 1 << 40]] {
            let (wanted, result) = record(|scope| scope.matrix("m", shape[0], shape[1]));
            assert_eq!(wanted.len(), 1);
            assert!(result.unwrap_err().to_string().contains("is more than any known model needs"));
            assert!(record(|scope| scope.values("v", &shape)).1.is_err());
        }
        let (wanted, result) = record(|scope| (0..1000).try_for_each(|_| scope.vector("v", 1 << 20).map(drop)));
        assert!(result.is_err());
        assert_eq!(wanted.len(), 65);
    }
}
