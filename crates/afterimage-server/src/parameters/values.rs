//! What a request's parameters say, once they are checked.

use afterimage_core::{LoraChoice, Size, StrengthSpan};
use std::collections::BTreeMap;

/// Checked values, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub(super) BTreeMap<&'static str, Checked>);

/// A checked value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Checked {
    Integer(i64),
    Seed(u64),
    Number(f64),
    Switch(bool),
    Text(String),
    Size(Size),
    Loras(Vec<LoraChoice>),
    Texts(Vec<String>),
    Numbers(Vec<f64>),
    Spans(Vec<StrengthSpan>),
}

impl Checked {
    /// The text, if it is one.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub(super) fn into_number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl Values {
    /// The whole number `name`, unless it is absent and has no default.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Checked::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// The seed `name`, unless one is to be drawn.
    pub fn seed(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(Checked::Seed(value)) => Some(*value),
            _ => None,
        }
    }

    /// The number `name`.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.0.get(name) {
            Some(Checked::Number(value)) => Some(*value),
            _ => None,
        }
    }

    /// The switch `name`; `false` for one the model does not have.
    pub fn switch(&self, name: &str) -> bool {
        self.known_switch(name).unwrap_or(false)
    }

    /// The switch `name`, if the model has it.
    pub fn known_switch(&self, name: &str) -> Option<bool> {
        match self.0.get(name) {
            Some(Checked::Switch(value)) => Some(*value),
            _ => None,
        }
    }

    /// The text, word or picture `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Checked::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// The size `name`.
    pub fn size(&self, name: &str) -> Option<Size> {
        match self.0.get(name) {
            Some(Checked::Size(value)) => Some(*value),
            _ => None,
        }
    }

    /// The pictures of the list `name`; none for one the model does not have.
    pub fn texts(&self, name: &str) -> &[String] {
        match self.0.get(name) {
            Some(Checked::Texts(list)) => list,
            _ => &[],
        }
    }

    /// The numbers of the list `name`; none for one the model does not have.
    pub fn numbers(&self, name: &str) -> &[f64] {
        match self.0.get(name) {
            Some(Checked::Numbers(list)) => list,
            _ => &[],
        }
    }

    /// The strengths of parts of the run `name`; none for a model that does not have them.
    pub fn spans(&self, name: &str) -> &[StrengthSpan] {
        match self.0.get(name) {
            Some(Checked::Spans(list)) => list,
            _ => &[],
        }
    }

    /// The list of `LoRA`s `name`; empty for one the model does not have.
    pub fn loras(&self, name: &str) -> &[LoraChoice] {
        match self.0.get(name) {
            Some(Checked::Loras(list)) => list,
            _ => &[],
        }
    }
}
