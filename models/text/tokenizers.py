"""Prompts to token ids, one class a family of text encoders. The networks that read the ids are in the other files of this package.

A tokenizer is shared by threads. transformers sets padding and truncation on the tokenizer itself, so that two threads pad to each
other's length, or fail ("Already borrowed"); therefore texts are encoded as they are, and cut and padded here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor
from transformers import CLIPTokenizer, Qwen2Tokenizer
from transformers import T5Tokenizer as TransformersT5Tokenizer
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from models.errors import MalformedConfig, MissingComponent

SYSTEM_MESSAGE = (
    "You are an AI that reasons about image descriptions. You give structured responses focusing on object relationships, object\n"
    "attribution and actions without speculation."
)
"""What FLUX.2 [dev] was trained to find before every prompt."""

_ONE_FILE, _TWO_FILES = ("tokenizer.json",), ("vocab.json", "merges.txt")


class Tokens(NamedTuple):
    """Token ids and mask (1 = text, 0 = padding) of some prompts; B = prompts, L = tokens."""

    ids_BL: Tensor
    mask_BL: Tensor


class _Tokenizer(Protocol):
    """The part of transformers' tokenizers that is used here; the library's own annotations are incomplete."""

    chat_template: object
    padding_side: str
    truncation_side: str
    pad_token_id: int | None
    bos_token: str | None

    def apply_chat_template(
        self, messages: Sequence[object], *, tokenize: bool, add_generation_prompt: bool, enable_thinking: bool = True
    ) -> str: ...

    def __call__(
        self, text: list[str], *, padding: bool, truncation: bool, add_special_tokens: bool, verbose: bool
    ) -> dict[str, list[list[int]]]: ...


class _Kind(Protocol):
    """A tokenizer class of transformers."""

    def from_pretrained(self, folder: str, *, local_files_only: bool) -> _Tokenizer: ...


class _PromptTokenizer:
    """Cuts and pads; subclasses say what text a prompt becomes."""

    _num_closing = 0
    """Tokens at the end that stay when the text before them is cut."""
    _padding_side = "right"
    _is_chat = False

    def __init__(self, folder: Path, kind: object, *files: tuple[str, ...]) -> None:
        self._tokenizer = _read(folder, cast(_Kind, kind), files)
        if self._is_chat and self._tokenizer.chat_template is None:
            raise MalformedConfig(f"{folder} has no chat template")
        for name, wanted in (("padding_side", self._padding_side), ("truncation_side", "right")):
            if (found := getattr(self._tokenizer, name)) != wanted:
                raise MalformedConfig(f"{folder}: {name} is {found!r}, not {wanted!r}")
        if self._tokenizer.pad_token_id is None:
            raise MalformedConfig(f"{folder} names no token for padding")
        self._pad_id = self._tokenizer.pad_token_id
        # Drops a truncation and padding that the file may prescribe; later calls find nothing to change.
        self._encode([""])

    def __call__(self, prompts: Sequence[str], max_length: int) -> Tokens:
        """Return exactly max_length tokens a prompt: what is too long is cut on the right, what is too short padded."""
        rows = [self._fitted(ids, max_length) for ids in self._encode(prompts)]
        return Tokens(torch.tensor([ids for ids, _ in rows]), torch.tensor([mask for _, mask in rows]))

    def num_truncated(self, prompts: Sequence[str], max_length: int) -> tuple[int, ...]:
        """How many tokens of each prompt do not fit into max_length; the template and special tokens count. Costs microseconds."""
        return tuple(max(0, len(ids) - max_length) for ids in self._encode(prompts))

    def _text(self, prompt: str) -> str:
        return prompt

    def _adds_special_tokens(self, _texts: list[str]) -> bool:
        return True

    def _encode(self, prompts: Sequence[str]) -> list[list[int]]:
        texts = [self._text(prompt) for prompt in prompts]
        encoded = self._tokenizer(
            texts,
            padding=False,
            truncation=False,
            add_special_tokens=self._adds_special_tokens(texts),
            verbose=False,
        )
        return encoded["input_ids"]

    def _fitted(self, ids: list[int], max_length: int) -> tuple[list[int], list[int]]:
        if len(ids) > max_length:
            closing = ids[len(ids) - self._num_closing :]
            ids = ids[: max_length - len(closing)] + closing
        padding, text = [0] * (max_length - len(ids)), [1] * len(ids)
        pads = [self._pad_id] * len(padding)
        return (pads + ids, padding + text) if self._padding_side == "left" else (ids + pads, text + padding)


class ClipTokenizer(_PromptTokenizer):
    """CLIP's tokenizer: lower-case byte-pair encoding between a start and an end token; the published networks read 77 tokens."""

    _num_closing = 1

    def __init__(self, folder: Path) -> None:
        """Read a tokenizer's folder.

        Raises:
            MissingComponent: the folder holds no tokenizer.
            MalformedConfig: it is broken, or pads or cuts on the left.
        """
        super().__init__(folder, CLIPTokenizer, _ONE_FILE, _TWO_FILES)
        (framed,) = self._encode([""])
        self._start_id, self._end_id = framed
        (self.comma_id,) = self.pieces(",")

    def pieces(self, text: str) -> list[int]:
        """Token ids of some text, without start and end."""
        (ids,) = self._encode([text])
        return ids[1:-1]

    def framed(self, pieces: Sequence[int], max_length: int) -> tuple[list[int], list[int]]:
        """Ids and mask of some pieces between start and end, padded to max_length, which they do not pass."""
        return self._fitted([self._start_id, *pieces, self._end_id], max_length)


class T5Tokenizer(_PromptTokenizer):
    """T5's tokenizer: pieces of words and an end token."""

    _num_closing = 1

    def __init__(self, folder: Path) -> None:
        """Read a tokenizer's folder; tokenizer.json is needed, a spiece.model alone is not read.

        Raises:
            MissingComponent: the folder holds no tokenizer.
            MalformedConfig: it is broken, or pads or cuts on the left.
        """
        super().__init__(folder, TransformersT5Tokenizer, _ONE_FILE)


class ChatTokenizer(_PromptTokenizer):
    """Qwen's tokenizer: a prompt becomes one user message that asks for an answer without thinking, padded on the right."""

    _is_chat = True

    def __init__(self, folder: Path) -> None:
        """Read a tokenizer's folder.

        Raises:
            MissingComponent: the folder holds no tokenizer.
            MalformedConfig: it is broken, has no chat template, or pads on the left.
        """
        super().__init__(folder, Qwen2Tokenizer, _ONE_FILE, _TWO_FILES)

    def _text(self, prompt: str) -> str:
        return self._tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )


class MistralChatTokenizer(_PromptTokenizer):
    """Mistral's tokenizer as FLUX.2 [dev] uses it: a system message, then the prompt as user message, padded on the left."""

    _padding_side = "left"
    _is_chat = True

    def __init__(self, folder: Path) -> None:
        """Read the folder of a tokenizer or of a PixtralProcessor, whose image parts are left alone.

        Raises:
            MissingComponent: the folder holds no tokenizer.
            MalformedConfig: it is broken, has no chat template, or pads on the right.
        """
        super().__init__(folder, TokenizersBackend, _ONE_FILE)

    def _text(self, prompt: str) -> str:
        """Fill in the chat template. "[IMG]" in a prompt would stand for a picture, which is not there."""
        contents = {"system": SYSTEM_MESSAGE, "user": prompt.replace("[IMG]", "")}
        messages = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in contents.items()]
        return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)

    def _adds_special_tokens(self, texts: list[str]) -> bool:
        """A template that begins with the start token brings all of them."""
        start = self._tokenizer.bos_token
        return start is None or not texts[0].startswith(start)


def _read(folder: Path, kind: _Kind, files: tuple[tuple[str, ...], ...]) -> _Tokenizer:
    if not (folder / "tokenizer_config.json").is_file():
        raise MissingComponent(f"{folder} holds no tokenizer_config.json")
    if not any(all((folder / name).is_file() for name in names) for names in files):
        raise MissingComponent(f"{folder} holds no {' nor '.join(' and '.join(names) for names in files)}")
    try:
        return kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise MalformedConfig(f"{folder} is no tokenizer that can be read: {error}") from error
