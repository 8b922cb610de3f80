//! The models that have short names.

use crate::known::{KnownModel, ModelPart, ModelRole};
use crate::repository_name::RepositoryName;

const INDEX: ModelPart = ModelPart { name: "index", files: &["model_index.json"] };
const SCHEDULER: ModelPart = ModelPart { name: "scheduler", files: &["scheduler/scheduler_config.json"] };
const CLIP: ModelPart =
    ModelPart { name: "text_encoder", files: &["text_encoder/config.json", "text_encoder/model.safetensors"] };
const T5: ModelPart = ModelPart {
    name: "text_encoder_2",
    files: &[
        "text_encoder_2/config.json",
        "text_encoder_2/model-00001-of-00002.safetensors",
        "text_encoder_2/model-00002-of-00002.safetensors",
        "text_encoder_2/model.safetensors.index.json",
    ],
};
const CLIP_TOKENIZER: ModelPart = ModelPart {
    name: "tokenizer",
    files: &[
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
    ],
};
const T5_TOKENIZER: ModelPart = ModelPart {
    name: "tokenizer_2",
    files: &[
        "tokenizer_2/special_tokens_map.json",
        "tokenizer_2/spiece.model",
        "tokenizer_2/tokenizer.json",
        "tokenizer_2/tokenizer_config.json",
    ],
};
const TRANSFORMER: ModelPart = ModelPart {
    name: "transformer",
    files: &[
        "transformer/config.json",
        "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
        "transformer/diffusion_pytorch_model-00002-of-00003.safetensors",
        "transformer/diffusion_pytorch_model-00003-of-00003.safetensors",
        "transformer/diffusion_pytorch_model.safetensors.index.json",
    ],
};
const VAE: ModelPart =
    ModelPart { name: "vae", files: &["vae/config.json", "vae/diffusion_pytorch_model.safetensors"] };

/// The diffusers folders of FLUX.1-dev and FLUX.1-schnell, which have the same files. The single files of the original
/// release, which lie beside them, are left out: they hold the same weights once more.
const FLUX: &[ModelPart] = &[INDEX, SCHEDULER, CLIP, T5, CLIP_TOKENIZER, T5_TOKENIZER, TRANSFORMER, VAE];

const REDUX: &[ModelPart] = &[
    INDEX,
    ModelPart { name: "feature_extractor", files: &["feature_extractor/preprocessor_config.json"] },
    ModelPart {
        name: "image_embedder",
        files: &["image_embedder/config.json", "image_embedder/diffusion_pytorch_model.safetensors"],
    },
    ModelPart { name: "image_encoder", files: &["image_encoder/config.json", "image_encoder/model.safetensors"] },
];

const CHECKER: &[ModelPart] =
    &[ModelPart { name: "checker", files: &["config.json", "preprocessor_config.json", "model.safetensors"] }];

const SRPO: &str = "diffusion_pytorch_model.safetensors";

const DEV_TERMS: &str = "FLUX.1 [dev] Non-Commercial License: non-commercial use of the weights; results may be used \
    commercially, but not to train competing models";

/// The models with short names.
pub const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        name: "flux-dev",
        repository: "black-forest-labs/FLUX.1-dev",
        about: "FLUX.1 [dev]",
        terms: DEV_TERMS,
        parts: FLUX,
        role: ModelRole::Base,
    },
    KnownModel {
        name: "flux-schnell",
        repository: "black-forest-labs/FLUX.1-schnell",
        about: "FLUX.1 [schnell], for 4 steps",
        terms: "Apache-2.0",
        parts: FLUX,
        role: ModelRole::Base,
    },
    KnownModel {
        name: "redux",
        repository: "black-forest-labs/FLUX.1-Redux-dev",
        about: "FLUX.1 Redux [dev] with SigLIP, for variations",
        terms: DEV_TERMS,
        parts: REDUX,
        role: ModelRole::Redux,
    },
    KnownModel {
        name: "srpo",
        repository: "tencent/SRPO",
        about: "SRPO, a transformer for the rest of FLUX.1 [dev]",
        terms: "Tencent's terms limit use to academic purposes; those of FLUX.1 [dev] hold as well",
        parts: &[ModelPart { name: "transformer", files: &[SRPO] }],
        role: ModelRole::Transformer { file: SRPO, base: "flux-dev" },
    },
    KnownModel {
        name: "falconsai",
        repository: "Falconsai/nsfw_image_detection",
        about: "a safety checker, ViT",
        terms: "Apache-2.0",
        parts: CHECKER,
        role: ModelRole::Checker,
    },
    KnownModel {
        name: "compvis",
        repository: "CompVis/stable-diffusion-safety-checker",
        about: "a safety checker, CLIP against 17 concepts",
        terms: "its card states no licence",
        parts: CHECKER,
        role: ModelRole::Checker,
    },
];

/// The model of this short name.
pub(crate) fn by_name(name: &str) -> Option<&'static KnownModel> {
    KNOWN_MODELS.iter().find(|known| known.name == name)
}

/// The model in this repository; the hub takes upper and lower case for the same.
pub(crate) fn by_repository(repository: &RepositoryName) -> Option<&'static KnownModel> {
    let name = repository.to_string();
    KNOWN_MODELS.iter().find(|known| known.repository.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_path::FilePath;

    #[test]
    fn the_catalogue_holds_what_can_be_fetched() {
        for known in KNOWN_MODELS {
            assert_eq!(by_repository(&known.repository_name().unwrap()), Some(known));
            assert_eq!(by_name(known.name), Some(known));
            assert!(known.files().count() > 0 && known.files().all(|file| FilePath::parse(file).is_ok()));
            if let ModelRole::Transformer { file, base } = known.role {
                assert!(known.files().any(|known| known == file));
                assert!(by_name(base).is_some_and(|base| base.role == ModelRole::Base));
            }
        }
    }
}
