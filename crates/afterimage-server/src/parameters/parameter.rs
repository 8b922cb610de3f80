//! One parameter of a model.

use afterimage_core::Size;
use std::ops::RangeInclusive;

/// One parameter of a model as a dialect names it.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in the request.
    pub name: &'static str,
    /// Whether a request without it is refused. `null` counts as absent.
    pub required: bool,
    /// Type, range and default.
    pub kind: Kind,
    /// One sentence for people.
    pub description: &'static str,
}

/// Type, range and default of a [`Parameter`]. All ranges are inclusive.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A whole number; `28.0` is one.
    Integer {
        /// Accepted values.
        range: RangeInclusive<i64>,
        /// What absence means, if that is a number.
        default: Option<i64>,
    },
    /// A seed, from 0; -1 and absence draw one.
    Seed {
        /// Highest seed that is accepted.
        highest: u64,
    },
    /// A finite number.
    Number {
        /// Accepted values.
        range: RangeInclusive<f64>,
        /// What absence means.
        default: f64,
    },
    /// `true` or `false`.
    Switch {
        /// What absence means.
        default: bool,
    },
    /// One of a few words, in upper or lower case.
    Choice {
        /// The words.
        options: &'static [&'static str],
        /// Other spellings that are accepted, each with the word it stands for.
        aliases: &'static [(&'static str, &'static str)],
        /// What absence means.
        default: &'static str,
    },
    /// Text of at most so many bytes.
    Text {
        /// Limit of its UTF-8 form.
        max_bytes: usize,
    },
    /// A picture: URL, `data:` URI, or plain base64.
    Picture,
    /// Further pictures, each as a [`Kind::Picture`], at most so many.
    Pictures {
        /// Pictures, at most.
        most: usize,
    },
    /// A list of finite numbers; in a form as JSON text.
    NumberList {
        /// Accepted values.
        range: RangeInclusive<f64>,
        /// Numbers, at most.
        most: usize,
    },
    /// Strengths of parts of the run as one text, `1@0:0.3,0.4@0.3:1`; at most as many as
    /// [`afterimage_core::limits::REDUX_SPANS`] says.
    StrengthSpans,
    /// `WIDTH*HEIGHT` or `WIDTHxHEIGHT` in pixels; both are read.
    Size {
        /// Accepted pixels per side.
        side: RangeInclusive<u32>,
        /// What absence means; without one it means `auto`, which is then accepted, too, and leaves no value.
        default: Option<Size>,
        /// What the service's documents write between the numbers.
        separator: char,
    },
    /// A word for a size, or `{"width", "height"}` in pixels.
    NamedSize {
        /// The words.
        presets: &'static [(&'static str, Size)],
        /// The word that absence means; one of `presets`.
        default: &'static str,
        /// Accepted pixels per side of an object.
        side: RangeInclusive<u32>,
        /// Pixels of a side that an object leaves out.
        absent_side: u32,
    },
    /// `LoRA`s by name, each with a scale of 1 by default: `[{"path": "NAME", "scale": 0.5}]`. How many there may be and
    /// which scales they may have say [`afterimage_core::limits`].
    Loras,
}

impl Parameter {
    /// An optional parameter.
    pub const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, required: false, kind, description }
    }

    /// A required parameter.
    pub const fn required(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, required: true, kind, description }
    }
}
