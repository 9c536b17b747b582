"""Prompts to tokens: chat templates, padding to an exact length, what is cut, many threads, and folders that are no tokenizer."""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, cast

import pytest
import torch
from diffusers.pipelines.flux2.pipeline_flux2 import format_input
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE as DIFFUSERS_SYSTEM_MESSAGE
from transformers import AutoTokenizer

from models.errors import MalformedConfig, MissingComponent
from models.text.tokenizers import (
    SYSTEM_MESSAGE,
    ChatTokenizer,
    ClipTokenizer,
    MistralChatTokenizer,
    T5Tokenizer,
    Tokens,
)
from tests.fixtures.tiny_models import tiny_tokenizer
from tests.fixtures.tiny_text import Oracle, tiny_clip_tokenizer, tiny_mistral_tokenizer, tiny_t5_tokenizer

PROMPTS = ["", "a red apple", "One  green\nsailboat, 7 zébras!", "a rocket over the sea " * 30]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(path)
    return path


def test_a_prompt_is_a_user_message_with_an_answer_that_does_not_think(folder: Path) -> None:
    tokens = ChatTokenizer(folder)(["a red apple"], 40)
    oracle = tiny_tokenizer()
    expected = "<|im_start|>user\na red apple<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert oracle.decode(tokens.ids_BL[0][tokens.mask_BL[0] == 1]) == expected


def test_every_prompt_has_the_same_length_padded_on_the_right(folder: Path) -> None:
    tokens = ChatTokenizer(folder)(["", "a red apple on a blue background"], 32)
    assert tokens.ids_BL.shape == tokens.mask_BL.shape == (2, 32)
    assert (tokens.mask_BL.diff(dim=1) <= 0).all()
    assert (tokens.ids_BL[tokens.mask_BL == 0] == tiny_tokenizer().pad_token_id).all()


def test_a_prompt_that_is_too_long_is_cut_on_the_right(folder: Path) -> None:
    tokenizer = ChatTokenizer(folder)
    long, short = tokenizer(["a rocket over the sea " * 9], 16), tokenizer(["a rocket over the sea " * 9], 400)
    assert long.mask_BL.all()
    assert long.ids_BL.tolist() == short.ids_BL[:, :16].tolist()


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingComponent, match=r"tokenizer_config\.json"):
        ChatTokenizer(tmp_path)


def test_a_tokenizer_without_a_chat_template_or_with_left_padding_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(tmp_path / "left")
    with pytest.raises(MalformedConfig, match="padding_side is 'left'"):
        ChatTokenizer(tmp_path / "left")
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "bare")
    with pytest.raises(MalformedConfig, match="no chat template"):
        ChatTokenizer(tmp_path / "bare")


class Family(NamedTuple):
    """A tokenizer of ours and the one of transformers that it reads."""

    ours: Callable[[Path], ChatTokenizer | ClipTokenizer | MistralChatTokenizer | T5Tokenizer]
    oracle: Callable[[], Oracle]
    lengths: tuple[int, ...]

    def expected(self, prompts: list[str], max_length: int) -> Tokens:
        """What Diffusers asks of transformers."""
        arguments = {"padding": "max_length", "max_length": max_length, "truncation": True, "return_tensors": "pt"}
        if self.ours is ChatTokenizer:
            tokens = self.oracle().apply_chat_template(
                [[{"role": "user", "content": prompt}] for prompt in prompts],
                tokenize=True,
                return_dict=True,
                add_generation_prompt=True,
                enable_thinking=False,
                **arguments,
            )
        elif self.ours is MistralChatTokenizer:
            tokens = self.oracle().apply_chat_template(
                format_input(prompts), tokenize=True, return_dict=True, add_generation_prompt=False, **arguments
            )
        else:
            tokens = self.oracle()(prompts, **arguments)
        return Tokens(tokens["input_ids"], tokens["attention_mask"])


FAMILIES = {
    "clip": Family(ClipTokenizer, tiny_clip_tokenizer, (77, 8, 3)),
    "t5": Family(T5Tokenizer, tiny_t5_tokenizer, (64, 8, 2)),
    "qwen": Family(ChatTokenizer, tiny_tokenizer, (60, 30, 5)),
    "mistral": Family(MistralChatTokenizer, tiny_mistral_tokenizer, (80, 40, 20)),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


def test_tokens_are_those_of_transformers(family: Family, tmp_path: Path) -> None:
    family.oracle().save_pretrained(tmp_path)
    ours = family.ours(tmp_path)
    for max_length in family.lengths:
        expected = family.expected(PROMPTS, max_length)
        assert (expected.mask_BL[1] != expected.mask_BL[3]).any() or max_length == family.lengths[-1]
        for one, other in zip(ours(PROMPTS, max_length), expected, strict=True):
            assert torch.equal(one, other)


def test_how_many_tokens_do_not_fit_is_known(family: Family, tmp_path: Path) -> None:
    family.oracle().save_pretrained(tmp_path)
    ours = family.ours(tmp_path)
    long = int(ours(PROMPTS[3:], 1000).mask_BL.sum())
    assert ours.num_truncated(PROMPTS, 1000) == (0, 0, 0, 0)
    assert ours.num_truncated(PROMPTS, 70) == (0, 0, 0, long - 70)
    assert ours.num_truncated(PROMPTS[3:], long) == (0,)
    assert ours.num_truncated(PROMPTS[3:], long - 1) == (1,)


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Threads take turns after a microsecond instead of five milliseconds."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("busy_threads")
def test_threads_share_a_tokenizer(family: Family, tmp_path: Path) -> None:
    """transformers' padding and truncation live on the tokenizer, where threads meet and pad to each other's length."""
    family.oracle().save_pretrained(tmp_path)
    ours = family.ours(tmp_path)
    lengths = [max_length for max_length in (40, 50, 60, 70) for _ in range(25)]
    alone = {max_length: ours(PROMPTS, max_length).ids_BL.tolist() for max_length in set(lengths)}
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda max_length: ours(PROMPTS, max_length).ids_BL.tolist(), lengths))
    assert together == [alone[max_length] for max_length in lengths]
    shared = cast(Oracle, ours)._tokenizer.backend_tokenizer
    assert (shared.padding, shared.truncation) == (None, None)


def test_a_truncation_and_padding_in_the_file_is_dropped(family: Family, tmp_path: Path) -> None:
    oracle = family.oracle()
    oracle.save_pretrained(tmp_path)
    expected = family.ours(tmp_path)(PROMPTS, 60)
    state = json.loads((tmp_path / "tokenizer.json").read_text())
    state["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    state["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": oracle.pad_token_id,
        "pad_type_id": 0,
        "pad_token": oracle.pad_token,
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    assert torch.equal(family.ours(tmp_path)(PROMPTS, 60).ids_BL, expected.ids_BL)


def test_clip_is_read_from_its_two_older_files(tmp_path: Path) -> None:
    oracle = tiny_clip_tokenizer()
    oracle.save_pretrained(tmp_path / "new")
    oracle.save_pretrained(tmp_path / "old")
    state = json.loads((tmp_path / "old" / "tokenizer.json").read_text())["model"]
    (tmp_path / "old" / "tokenizer.json").unlink()
    with pytest.raises(MissingComponent, match=r"tokenizer\.json nor vocab\.json and merges\.txt"):
        ClipTokenizer(tmp_path / "old")
    (tmp_path / "old" / "vocab.json").write_text(json.dumps(state["vocab"]))
    merges = ["#version: 0.2", *(" ".join(merge) for merge in state["merges"])]
    (tmp_path / "old" / "merges.txt").write_text("\n".join(merges) + "\n")
    old, new = (ClipTokenizer(tmp_path / name)(PROMPTS, 77).ids_BL for name in ("old", "new"))
    assert torch.equal(old, new)


def test_the_system_message_is_the_published_one(tmp_path: Path) -> None:
    assert SYSTEM_MESSAGE == DIFFUSERS_SYSTEM_MESSAGE
    tiny_mistral_tokenizer().save_pretrained(tmp_path)
    tokens = MistralChatTokenizer(tmp_path)(["a red apple"], 64)
    text = tiny_mistral_tokenizer().decode(tokens.ids_BL[0][tokens.mask_BL[0] == 1])
    assert text == f"<s>[SYSTEM_PROMPT]{DIFFUSERS_SYSTEM_MESSAGE}[/SYSTEM_PROMPT][INST]a red apple[/INST]"


def test_a_prompt_cannot_stand_for_a_picture(tmp_path: Path) -> None:
    tiny_mistral_tokenizer().save_pretrained(tmp_path)
    tokenizer = MistralChatTokenizer(tmp_path)
    with_image, without = tokenizer(["a red[IMG] apple"], 64), tokenizer(["a red apple"], 64)
    assert torch.equal(with_image.ids_BL, without.ids_BL)


def test_the_class_that_a_folder_names_does_not_matter(tmp_path: Path) -> None:
    """Published folders say LlamaTokenizerFast, whose own way of splitting text is not that of their tokenizer.json."""
    tiny_mistral_tokenizer().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    fields = {"tokenizer_class": "LlamaTokenizerFast", "processor_class": "PixtralProcessor", "legacy": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | fields))
    oracle = AutoTokenizer.from_pretrained(tmp_path)
    texts = [oracle.apply_chat_template(messages, tokenize=False) for messages in format_input(PROMPTS)]
    expected = oracle(texts, add_special_tokens=False, padding="max_length", max_length=90, truncation=True)
    assert MistralChatTokenizer(tmp_path)(PROMPTS, 90).ids_BL.tolist() == expected["input_ids"]


def test_a_template_without_a_start_token_gets_one(tmp_path: Path) -> None:
    """As a processor of transformers does: it adds special tokens unless the template has begun with one."""
    oracle = tiny_mistral_tokenizer()
    oracle.save_pretrained(tmp_path / "with")
    oracle.chat_template = oracle.chat_template.replace("{{- bos_token }}", "")
    oracle.save_pretrained(tmp_path / "without")
    state = json.loads((tmp_path / "without" / "tokenizer.json").read_text())
    state["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    for name in ("with", "without"):
        (tmp_path / name / "tokenizer.json").write_text(json.dumps(state))
    one, other = (MistralChatTokenizer(tmp_path / name)(["a red apple"], 64).ids_BL for name in ("with", "without"))
    assert torch.equal(one, other)
    assert int((one == 1).sum()) == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"padding_side": "right"}, "padding_side is 'right', not 'left'"),
        ({"truncation_side": "left"}, "truncation_side is 'left', not 'right'"),
        ({"pad_token": None}, "names no token for padding"),
    ],
)
def test_a_tokenizer_that_pads_or_cuts_otherwise_is_refused(
    tmp_path: Path, change: dict[str, str | None], complaint: str
) -> None:
    tiny_mistral_tokenizer().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text()) | change
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(MalformedConfig, match=complaint):
        MistralChatTokenizer(tmp_path)
