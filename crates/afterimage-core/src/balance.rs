//! Picture against prompt in one word.

use serde::{Deserialize, Serialize};

/// How much a variation owes its pictures and how much its prompt, in five levels.
///
/// A full grid of image tokens drowns the prompt (the observation behind `ComfyUI_AdvancedReduxControl`, whose five levels
/// are the factors 1 to 5): fewer tokens leave it the composition, a lower weight the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum PictureBalance {
    /// The picture decides; the prompt hardly shows.
    Picture,
    /// Mostly the picture: its composition loosens.
    MorePicture,
    /// Mood, palette and motif of the picture, composition of the prompt.
    Even,
    /// The prompt decides; palette and motif of the picture remain.
    MorePrompt,
    /// The prompt, with a trace of the picture.
    Prompt,
}

impl PictureBalance {
    /// All of them, from picture to prompt.
    pub const ALL: [Self; 5] = [Self::Picture, Self::MorePicture, Self::Even, Self::MorePrompt, Self::Prompt];

    /// As serde spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Picture => "picture",
            Self::MorePicture => "more-picture",
            Self::Even => "even",
            Self::MorePrompt => "more-prompt",
            Self::Prompt => "prompt",
        }
    }

    /// The level of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// `redux_strength` and `redux_downsample` of it.
    pub const fn settings(self) -> (f64, f64) {
        match self {
            Self::Picture => (1.0, 1.0),
            Self::MorePicture => (0.9, 2.0),
            Self::Even => (0.7, 3.0),
            Self::MorePrompt => (0.5, 4.0),
            Self::Prompt => (0.25, 5.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_fall_from_picture_to_prompt() {
        let settings = PictureBalance::ALL.map(PictureBalance::settings);
        assert!(settings.windows(2).all(|pair| pair[0].0 > pair[1].0 && pair[0].1 < pair[1].1));
        for level in PictureBalance::ALL {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
            assert_eq!(PictureBalance::named(level.name()), Some(level));
        }
        assert_eq!(PictureBalance::named("odd"), None);
    }
}
