"""Small tokenizers of the same kind as FLUX's: byte-level BPE with `</w>` (CLIP) and Unigram with metaspace (T5).

The T5 vocabulary holds whole words of the painter's grammar plus single characters: a trained Unigram model of this
size splits common words and wastes the short sequence.
"""

import collections
import json
import math
import re
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from .variation import prompt_corpus

CLIP_SPECIAL = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
T5_SPECIAL = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
# words that people type and the grammar lacks; they start untrained but cost one id instead of one per letter
COMMON_WORDS = """photo picture image of the in on at by with and a an style painting watercolor oil colors color colour grey
day morning evening light dark sky city street mountain forest tree lake river beach ocean cat dog bird person face portrait
warm cold autumn summer spring rain storm big small old new beautiful simple abstract cartoon drawing ink pop art"""


def t5_tokenizer(corpus):
    words = collections.Counter(re.findall(r"[a-z]+|[^\sa-z]", " ".join(corpus).lower()))
    words.update(COMMON_WORDS.split())
    total = sum(words.values())
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [("\u2581" + word, math.log(count / total)) for word, count in words.most_common()]
    pieces += [(word, math.log(count / total) - 2) for word, count in words.most_common() if len(word) > 2]
    pieces.append(("\u2581", -9.0))
    known = {piece for piece, _ in pieces}
    pieces += [(chr(code), -11.0) for code in range(33, 127) if not chr(code).isupper() and chr(code) not in known]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip(left=False), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def clip_tokenizer(corpus):
    """(vocabulary, merges) of a byte-level BPE laid out as CLIP's: bytes, bytes with </w>, merges, two specials."""
    bpe = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False)
    bpe.train_from_iterator(corpus + COMMON_WORDS.split() * 20, trainer)
    merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(bpe.to_str())["model"]["merges"]]
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    vocabulary.update({character + "</w>": 256 + index for index, character in enumerate(alphabet)})
    for merge in merges:
        vocabulary.setdefault(merge.replace(" ", ""), len(vocabulary))
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    return vocabulary, merges


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizers(folder, t5_length):
    """Both tokenizers in the diffusers layout: `tokenizer/` and `tokenizer_2/`."""
    corpus = prompt_corpus()
    clip, t5 = Path(folder) / "tokenizer", Path(folder) / "tokenizer_2"
    clip.mkdir(parents=True, exist_ok=True)
    t5.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = clip_tokenizer(corpus)
    (clip / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (clip / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    options = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "errors": "replace"}
    write_json(clip / "tokenizer_config.json", {**CLIP_SPECIAL, **options})
    write_json(clip / "special_tokens_map.json", CLIP_SPECIAL)
    t5_tokenizer(corpus).save(str(t5 / "tokenizer.json"))
    options = {"tokenizer_class": "T5TokenizerFast", "model_max_length": t5_length, "extra_ids": 0, "legacy": False}
    write_json(t5 / "tokenizer_config.json", {**T5_SPECIAL, **options})
    write_json(t5 / "special_tokens_map.json", T5_SPECIAL)


def vocabulary_sizes(folder):
    """(CLIP, T5) vocabulary sizes of written tokenizers."""
    clip = json.loads((Path(folder) / "tokenizer/vocab.json").read_text(encoding="utf-8"))
    t5 = json.loads((Path(folder) / "tokenizer_2/tokenizer.json").read_text(encoding="utf-8"))
    return len(clip), len(t5["model"]["vocab"])


class PromptTokens:
    """Prompt -> ids as the diffusers pipelines make them: padded, without a mask."""

    def __init__(self, folder, t5_length):
        from transformers import CLIPTokenizer

        self.clip = CLIPTokenizer.from_pretrained(f"{folder}/tokenizer")
        self.t5 = Tokenizer.from_file(f"{folder}/tokenizer_2/tokenizer.json")
        self.length, self.known = t5_length, {}

    def ids(self, prompt):
        if prompt not in self.known:
            t5 = self.t5.encode(prompt).ids
            t5 = t5 if len(t5) <= self.length else [*t5[: self.length - 1], 1]
            clip = self.clip(prompt, truncation=True, max_length=77).input_ids
            self.known[prompt] = clip, t5 + [0] * (self.length - len(t5))
        return self.known[prompt]

    def __call__(self, prompts, device="cpu"):
        """(CLIP ids, T5 ids). CLIP is causal: nothing after the end token can matter, so rows are only padded to the longest."""
        rows = [self.ids(prompt) for prompt in prompts]
        longest, end = max(len(clip) for clip, _ in rows), self.clip.eos_token_id
        clip = torch.tensor([row + [end] * (longest - len(row)) for row, _ in rows], device=device)
        return clip, torch.tensor([row for _, row in rows], device=device)
