"""A "medium" FLUX.1 + Redux with random weights: large enough to measure, small enough for two cores.

The VAE has FLUX's full size, the context its full length (512 text + 729 Redux tokens of width 4096); the transformer is
a third as wide as FLUX's and has 4 + 8 blocks, the encoders have few layers. Random weights cost the same time as
trained ones.
"""

import json

SUBFOLDERS = ("transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
DONE = "complete"  # written last, so that a half-made bundle is not reused


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_clip_tokenizer(folder):
    """Byte-level BPE with hardly any merges; the vocabulary is laid out as CLIP's."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = ["t h", "th e</w>", "a n", "an d</w>"]
    pieces = alphabet + [character + "</w>" for character in alphabet] + [merge.replace(" ", "") for merge in merges]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    write_json(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    end = "<|endoftext|>"
    special = {"bos_token": "<|startoftext|>", "eos_token": end, "unk_token": end, "pad_token": end}
    options = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "errors": "replace"}
    write_json(folder / "tokenizer_config.json", {**special, **options})
    write_json(folder / "special_tokens_map.json", special)
    return len(vocabulary)


def write_t5_tokenizer(folder):
    """A Unigram model of single characters with T5's metaspace, padding and end token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    pieces += [(chr(code), -5.0) for code in range(33, 127)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    options = {"tokenizer_class": "T5TokenizerFast", "model_max_length": 512, "extra_ids": 0, "legacy": False}
    write_json(folder / "tokenizer_config.json", {**special, **options})
    write_json(folder / "special_tokens_map.json", special)
    return len(pieces)


def text_encoders(base):
    """CLIP of FLUX's width with 2 layers and T5 of FLUX's width with 1 layer: (CLIP, T5)."""
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    clip_words, t5_words = write_clip_tokenizer(base / "tokenizer"), write_t5_tokenizer(base / "tokenizer_2")
    clip = CLIPTextConfig(
        vocab_size=clip_words, hidden_size=768, intermediate_size=1536, num_hidden_layers=2, num_attention_heads=12,
        max_position_embeddings=77, projection_dim=768, bos_token_id=clip_words - 2, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    t5 = T5Config(
        vocab_size=t5_words, d_model=4096, d_kv=64, num_heads=4, d_ff=256, num_layers=1, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, dropout_rate=0.0,
    )  # fmt: skip
    return CLIPTextModel(clip), T5EncoderModel(t5)


def write_base(base, dtype):
    """FluxPipeline's folder."""
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel

    clip, t5 = text_encoders(base)
    clip.to(dtype).save_pretrained(base / "text_encoder")
    t5.to(dtype).save_pretrained(base / "text_encoder_2")
    FluxTransformer2DModel(
        in_channels=64, patch_size=1, num_layers=4, num_single_layers=8, attention_head_dim=128, num_attention_heads=8,
        joint_attention_dim=4096, pooled_projection_dim=768, guidance_embeds=True, axes_dims_rope=(16, 56, 56),
    ).to(dtype).save_pretrained(base / "transformer")  # fmt: skip
    AutoencoderKL(
        in_channels=3, out_channels=3, block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16,
        norm_num_groups=32, down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        sample_size=1024, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False,
    ).to(dtype).save_pretrained(base / "vae")  # fmt: skip
    FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256, base_shift=0.5, max_image_seq_len=4096, max_shift=1.15, shift=3.0, use_dynamic_shifting=True
    ).save_pretrained(base / "scheduler")
    classes = {
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    write_json(base / "model_index.json", {"_class_name": "FluxPipeline", **classes})


def write_redux(redux, dtype):
    """FluxPriorReduxPipeline's folder: a narrow SigLIP tower with the real grid (384 / 14: 27 x 27) and the embedder."""
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
    from transformers import SiglipVisionConfig, SiglipVisionModel

    config = SiglipVisionConfig(
        hidden_size=384, intermediate_size=1024, num_hidden_layers=2, num_attention_heads=6, image_size=384, patch_size=14,
        vision_use_head=False,
    )  # fmt: skip
    SiglipVisionModel(config).to(dtype).save_pretrained(redux / "image_encoder")
    ReduxImageEncoder(redux_dim=384, txt_in_features=4096).to(dtype).save_pretrained(redux / "image_embedder")
    preprocessing = {
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3, "image_processor_type": "SiglipImageProcessor", "resample": 3, "rescale_factor": 1 / 255,
        "size": {"height": 384, "width": 384},
    }  # fmt: skip
    write_json(redux / "feature_extractor/preprocessor_config.json", preprocessing)
    classes = {
        "feature_extractor": ["transformers", "SiglipImageProcessor"],
        "image_embedder": ["flux", "ReduxImageEncoder"],
        "image_encoder": ["transformers", "SiglipVisionModel"],
    }
    write_json(redux / "model_index.json", {"_class_name": "FluxPriorReduxPipeline", **classes})


def ensure_bundle(folder, dtype_name="float32"):
    """(base, redux) folders below `folder`, made unless they are there already in this number format."""
    import torch

    folder = folder / f"medium-{dtype_name}"
    base, redux = folder / "base", folder / "redux"
    if not (folder / DONE).exists():
        torch.manual_seed(0)
        dtype = getattr(torch, dtype_name)
        write_base(base, dtype)
        write_redux(redux, dtype)
        (folder / DONE).write_text("", encoding="utf-8")
    return base, redux
