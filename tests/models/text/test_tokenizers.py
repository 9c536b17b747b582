"""Prompts to tokens: the chat template, padding to an exact length, and folders that are no tokenizer."""

from pathlib import Path

import pytest

from models.errors import MalformedConfig, MissingComponent
from models.text.tokenizers import ChatTokenizer
from tests.fixtures.tiny_models import tiny_tokenizer


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
