"""A tokenizer of flux-nano's own: byte-level BPE over its captions, in the form of Qwen's.

The chat template lower-cases the prompt and puts a space before it, so that a word is the same token wherever it stands.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, cast

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

END_OF_TEXT, END_OF_PROMPT = "<|endoftext|>", "<|im_end|>"
CHAT_TEMPLATE = "{{ ' ' + (messages[0]['content'] | trim | lower) + '" + END_OF_PROMPT + "' }}"


class Vocabulary(NamedTuple):
    """Number of tokens, and the one that pads."""

    size: int
    pad_id: int


def train_tokenizer(texts: Iterable[str], vocab_size: int, folder: Path) -> None:
    """Learn a vocabulary from texts and write a folder that Qwen2Tokenizer, and so ChatTokenizer, reads.

    Args:
        texts: lower case; every word that occurs often enough becomes one token.
        vocab_size: at most so many tokens, the 256 bytes and the special ones included.
        folder: where the tokenizer goes.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT, END_OF_PROMPT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    state = cast(dict[str, object], json.loads(tokenizer.to_str())["model"])
    qwen = Qwen2Tokenizer(
        vocab=cast(dict[str, int], state["vocab"]),
        merges=cast(
            list[str], [tuple(pair) for pair in cast(list[list[str]], state["merges"])]
        ),  # pairs are accepted too
        extra_special_tokens=[END_OF_PROMPT],
        chat_template=CHAT_TEMPLATE,
        padding_side="right",
    )
    save = cast(Callable[[str], object], qwen.save_pretrained)  # pyright: ignore[reportUnknownMemberType] (untyped keywords)
    save(str(folder))


def vocabulary_of(folder: Path) -> Vocabulary:
    """Return what a text encoder has to know of a tokenizer."""
    qwen = Qwen2Tokenizer.from_pretrained(str(folder), local_files_only=True)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] (untyped)
    tokenizer = cast(Qwen2Tokenizer, qwen)
    return Vocabulary(len(tokenizer), cast(int, tokenizer.pad_token_id))
