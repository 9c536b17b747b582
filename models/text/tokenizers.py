"""Prompts to token ids: the tokenizer of a folder and its chat template. The network that reads the ids is in qwen3.py."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor
from transformers import Qwen2Tokenizer

from models.errors import MalformedConfig, MissingComponent


class Tokens(NamedTuple):
    """Token ids and mask (1 = text, 0 = padding) of some prompts; B = prompts, L = tokens."""

    ids_BL: Tensor
    mask_BL: Tensor


class _Tokenizer(Protocol):
    """The part of transformers' tokenizers that is used here; the library's own annotations are incomplete."""

    chat_template: object
    padding_side: str

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool, enable_thinking: bool
    ) -> str: ...

    def __call__(
        self, text: list[str], *, return_tensors: str, padding: str, truncation: bool, max_length: int
    ) -> dict[str, Tensor]: ...


class ChatTokenizer:
    """Qwen's tokenizer: a prompt becomes one user message that asks for an answer without thinking, padded on the right."""

    def __init__(self, folder: Path) -> None:
        """Read a tokenizer's folder.

        Raises:
            MissingComponent: the folder holds no tokenizer.
            MalformedConfig: it is broken, has no chat template, or pads on the left.
        """
        if not (folder / "tokenizer_config.json").is_file():
            raise MissingComponent(f"{folder} holds no tokenizer_config.json")
        self._tokenizer = _read(folder)
        if self._tokenizer.chat_template is None:
            raise MalformedConfig(f"{folder} has no chat template")
        if self._tokenizer.padding_side != "right":
            raise MalformedConfig(f"{folder}: padding_side is {self._tokenizer.padding_side!r}, not 'right'")

    def __call__(self, prompts: Sequence[str], max_length: int) -> Tokens:
        """Fill in the chat template and return exactly max_length tokens a prompt, cut or padded."""
        texts = [
            self._tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
            )
            for prompt in prompts
        ]
        tokens = self._tokenizer(
            texts, return_tensors="pt", padding="max_length", truncation=True, max_length=max_length
        )
        return Tokens(tokens["input_ids"].to(torch.int64), tokens["attention_mask"])


def _read(folder: Path) -> _Tokenizer:
    try:
        tokenizer: object = Qwen2Tokenizer.from_pretrained(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] (untyped)
            str(folder), local_files_only=True
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MalformedConfig(f"{folder} is no tokenizer that can be read: {error}") from error
    return cast(_Tokenizer, tokenizer)
