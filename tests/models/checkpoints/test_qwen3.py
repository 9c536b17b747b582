"""Qwen3 as a text encoder: cut after the layers that are read, it equals transformers' whole network."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3Config

from models.checkpoints.qwen3 import load_text_encoder
from models.errors import MalformedConfig, UnknownKeys
from models.specs import KLEIN_4B, KLEIN_9B, KLEIN_TEXT
from models.text.qwen3 import Qwen3Encoder
from models.text.tokenizers import Tokens
from tests.fixtures.tiny_models import NUM_LAYERS, tiny_text_encoder

TOKENS = Tokens(torch.arange(2 * 9).reshape(2, 9), torch.tensor([[1] * 9, [1] * 4 + [0] * 5]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text_encoder")
    torch.manual_seed(0)
    tiny_text_encoder().save_pretrained(path)
    return path


@pytest.mark.parametrize("out_layers", [(1, 2, 3), (3,), (0, 2), (3, 1), (2, NUM_LAYERS)])
@torch.no_grad()
def test_features_equal_the_hidden_states_of_transformers(folder: Path, out_layers: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    oracle = tiny_text_encoder()
    states = oracle(*TOKENS, output_hidden_states=True, use_cache=False).hidden_states
    expected = torch.stack([states[layer] for layer in out_layers], dim=1).permute(0, 2, 1, 3).flatten(2)
    encoder = load_text_encoder(folder, out_layers)
    assert encoder.num_layers == max(out_layers)
    assert encoder.num_features == expected.shape[-1]
    torch.testing.assert_close(encoder(TOKENS), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("hidden_size", "intermediate_size", "is_tied", "count"),
    [(2560, 9728, True, 3_114_088_192), (4096, 12288, False, 5_831_883_520)],
)
def test_published_encoders_keep_the_layers_that_klein_reads(
    hidden_size: int, intermediate_size: int, is_tied: bool, count: int
) -> None:
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=is_tied,
    )
    with torch.device("meta"):
        encoder = Qwen3Encoder(config, KLEIN_TEXT.out_layers)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == count
    assert encoder.num_features == {2560: KLEIN_4B, 4096: KLEIN_9B}[hidden_size].context_in_dim


@torch.no_grad()
def test_padding_does_not_change_the_text_before_it(folder: Path) -> None:
    encoder = load_text_encoder(folder, (1, 2, 3))
    short = encoder(Tokens(TOKENS.ids_BL[1:, :4], TOKENS.mask_BL[1:, :4]))
    torch.testing.assert_close(encoder(TOKENS)[1:, :4], short, atol=1e-4, rtol=0)


def test_layers_that_are_not_there_cannot_be_read(folder: Path) -> None:
    with pytest.raises(MalformedConfig, match="has 4 layers; the features need layer 27"):
        load_text_encoder(folder, (9, 18, 27))


def test_only_layers_that_are_left_out_may_be_in_the_file_beside_those_that_are_read(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    state = load_file(folder / "model.safetensors")
    save_file(state | {"model.layers.4.mlp.up_proj.weight": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UnknownKeys, match=r"model\.layers\.4\.mlp"):
        load_text_encoder(tmp_path, (1, 2, 3))


def test_another_architecture_is_refused(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["LlamaForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MalformedConfig, match="names no Qwen3ForCausalLM"):
        load_text_encoder(tmp_path, (1, 2, 3))
