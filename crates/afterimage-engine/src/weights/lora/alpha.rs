//! Scales in a file's header: diffusers writes PEFT's configuration there as `lora_adapter_metadata`, JSON with the
//! network's folder in front of each key.

use super::key::LoraPart;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The header's key.
const KEY: &str = "lora_adapter_metadata";

/// What a header says of scales; often nothing.
#[derive(Debug, Default)]
pub(super) struct HeaderAlphas(Map<String, Value>);

impl HeaderAlphas {
    /// Of a header's `__metadata__`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(metadata: &HashMap<String, String>) -> Result<Self, String> {
        let Some(text) = metadata.get(KEY) else { return Ok(Self::default()) };
        match serde_json::from_str(text) {
            Ok(Value::Object(settings)) => Ok(Self(settings)),
            Ok(_) => Err(format!("{KEY}: expected an object")),
            Err(error) => Err(format!("{KEY}: is no JSON: {error}")),
        }
    }

    fn setting(&self, part: LoraPart, name: &str) -> Option<&Value> {
        let folder = match part {
            LoraPart::Transformer => "transformer",
            LoraPart::Clip => "text_encoder",
            LoraPart::T5 => "text_encoder_2",
        };
        self.0.get(&format!("{folder}.{name}")).or_else(|| self.0.get(name))
    }

    /// Whether the header says that weights are split into magnitude and direction.
    pub fn is_dora(&self) -> bool {
        LoraPart::ALL.iter().any(|part| self.setting(*part, "use_dora") == Some(&Value::Bool(true)))
    }

    /// The factor of a layer's update of `rank`: alpha / rank, or alpha / √rank where the header asks for the
    /// rank-stabilised one; `None` when the header has no alpha for it.
    pub fn factor(&self, part: LoraPart, module: &str, rank: usize) -> Option<f64> {
        let pattern = self.setting(part, "alpha_pattern").and_then(Value::as_object);
        // PEFT takes the first key that the module's name ends with, as a regular expression.
        let own = pattern.and_then(|pattern| {
            let found = pattern.iter().find(|(key, _)| ends_with(module, key));
            found.and_then(|(_, alpha)| alpha.as_f64())
        });
        let alpha = own.or_else(|| self.setting(part, "lora_alpha")?.as_f64())?;
        let stabilised = self.setting(part, "use_rslora") == Some(&Value::Bool(true));
        Some(alpha / if stabilised { (rank as f64).sqrt() } else { rank as f64 })
    }
}

fn ends_with(module: &str, key: &str) -> bool {
    let key = key.trim_start_matches('^').trim_end_matches('$').replace("\\.", ".");
    module.strip_suffix(&key).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_an_alpha_for_all_layers_and_some_of_their_own() {
        let text = r#"{"transformer.r": 4, "transformer.lora_alpha": 8,
            "transformer.alpha_pattern": {"^blocks\\.1\\.to_q": 2, "proj": 6}, "text_encoder.lora_alpha": 3,
            "text_encoder.use_rslora": true}"#;
        let header = HeaderAlphas::read(&HashMap::from([(KEY.to_owned(), text.to_owned())])).unwrap();
        let factor = |part, module| header.factor(part, module, 4);
        assert_eq!(factor(LoraPart::Transformer, "blocks.0.to_q"), Some(2.0));
        assert_eq!(factor(LoraPart::Transformer, "blocks.1.to_q"), Some(0.5));
        assert_eq!(factor(LoraPart::Transformer, "a.proj"), Some(1.5));
        assert_eq!(factor(LoraPart::Transformer, "a.xproj"), Some(2.0));
        assert_eq!((factor(LoraPart::Clip, "x"), factor(LoraPart::T5, "x")), (Some(1.5), None));
        assert!(!header.is_dora());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "1", "{"] {
            assert!(HeaderAlphas::read(&HashMap::from([(KEY.to_owned(), text.to_owned())])).is_err(), "{text}");
        }
        assert_eq!(HeaderAlphas::read(&HashMap::new()).unwrap().factor(LoraPart::T5, "x", 4), None);
    }
}
