//! What a variant's name says: which kernel, for which types.

use crate::numbers::StandInNumber;
use crate::weights::StandInWeightKind;

/// A kernel and its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Product { x: StandInNumber, weight: StandInWeightKind, few: bool, out: StandInNumber },
    Attention { x: StandInNumber, bias: Bias, head: usize },
    Norm { kind: NormKind, x: StandInNumber, out: StandInNumber },
    RotateHeads { x: StandInNumber },
    Convolve { x: StandInNumber, weight: StandInWeightKind, out: StandInNumber },
    GroupPartial { x: StandInNumber },
    GroupFinish,
    MaxPool { x: StandInNumber },
    Gather { weight: StandInWeightKind, out: StandInNumber },
    Copy { x: StandInNumber, out: StandInNumber },
    Transpose { x: StandInNumber, out: StandInNumber },
    Activate { x: StandInNumber },
    Combine { y: StandInNumber, x: StandInNumber },
    MagnitudesPartial { x: StandInNumber, y: StandInNumber },
    MagnitudesFinish,
    Quantise { x: StandInNumber, out: StandInNumber },
    Dequantise { out: StandInNumber },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bias {
    None,
    Keys,
    Pairs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NormKind {
    Layer,
    Modulated,
    Rms,
}

impl Family {
    /// Reads a name; `None` when it is none of the contract's.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".aligned").unwrap_or(name);
        let (name, few) = name.strip_suffix(".few").map_or((name, false), |name| (name, true));
        let parts: Vec<&str> = name.split('.').collect();
        if few && parts.first() != Some(&"product") {
            return None;
        }
        let number = StandInNumber::of;
        let kind = StandInWeightKind::of;
        Some(match parts[..] {
            ["product" | "cublaslt", x, weight, out] => {
                Self::Product { x: number(x)?, weight: kind(weight)?, few, out: number(out)? }
            }
            ["attention", x, bias, head] => {
                let bias = match bias {
                    "none" => Bias::None,
                    "keys" => Bias::Keys,
                    "pairs" => Bias::Pairs,
                    _ => return None,
                };
                Self::Attention { x: number(x)?, bias, head: head.parse().ok()? }
            }
            ["norm", norm, x, out] => {
                let norm = match norm {
                    "layer" => NormKind::Layer,
                    "modulated" => NormKind::Modulated,
                    "rms" => NormKind::Rms,
                    _ => return None,
                };
                Self::Norm { kind: norm, x: number(x)?, out: number(out)? }
            }
            ["rotate_heads", x] => Self::RotateHeads { x: number(x)? },
            ["convolve", x, weight, out] => Self::Convolve { x: number(x)?, weight: kind(weight)?, out: number(out)? },
            ["group_norm", "partial", x] => Self::GroupPartial { x: number(x)? },
            ["group_norm", "finish"] => Self::GroupFinish,
            ["max_pool", x] => Self::MaxPool { x: number(x)? },
            ["gather", weight, out] => Self::Gather { weight: kind(weight)?, out: number(out)? },
            ["copy", x, out] => Self::Copy { x: number(x)?, out: number(out)? },
            ["transpose", x, out] => Self::Transpose { x: number(x)?, out: number(out)? },
            ["activate", x] => Self::Activate { x: number(x)? },
            ["combine", y, x] => Self::Combine { y: number(y)?, x: number(x)? },
            ["magnitudes", "partial", x, y] => Self::MagnitudesPartial { x: number(x)?, y: number(y)? },
            ["magnitudes", "finish"] => Self::MagnitudesFinish,
            ["quantise", x, out @ ("i8" | "f8")] => Self::Quantise { x: number(x)?, out: number(out)? },
            ["dequantise", out] => Self::Dequantise { out: number(out)? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_kernel_and_types() {
        let (f32, bf16) = (StandInNumber::F32, StandInNumber::Bf16);
        let few = Family::Product { x: bf16, weight: StandInWeightKind::U4, few: true, out: f32 };
        assert_eq!(Family::of("product.bf16.u4.f32.few.aligned"), Some(few));
        assert_eq!(Family::of("group_norm.partial.bf16"), Some(Family::GroupPartial { x: bf16 }));
        assert_eq!(Family::of("quantise.f32.f8"), Some(Family::Quantise { x: f32, out: StandInNumber::F8 }));
        for wrong in
            ["product.bf16.bf16", "attention.f32.some.64", "copy.f32.f32.few", "quantise.f32.f32", "", "copy.f64.f32"]
        {
            assert_eq!(Family::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_kernel_of_the_committed_table_has_a_twin() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../afterimage-cuda/kernels/table.json");
        let text = std::fs::read_to_string(path).unwrap();
        let table: serde_json::Value = serde_json::from_str(&text).unwrap();
        crate::table::StandInTable::parse(&text).unwrap();
        let names = table["variants"].as_array().unwrap().iter().map(|variant| variant["name"].as_str().unwrap());
        let without: Vec<&str> = names.filter(|name| Family::of(name).is_none()).collect();
        assert!(without.is_empty(), "{without:?}");
    }
}
