"""CLIP's pooled state as Diffusers' FLUX.1 pipelines get it, and the files in which the network is found."""

import json
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from models.checkpoints.clip import load_clip
from models.errors import MalformedConfig, MissingKeys, UnknownKeys, UnsupportedInput
from models.text.clip import ClipTextEncoder
from models.text.tokenizers import ClipTokenizer
from tests.fixtures.tiny_models import tiny_flux1_pipeline
from tests.fixtures.tiny_text import TEXT_SIZE, Oracle

PROMPTS = ["a red apple on a blue background", "one green sailboat", "", "a rocket over the sea " * 30]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return tiny_flux1_pipeline()


@pytest.fixture(scope="module")
def folder(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    oracle.text_encoder.save_pretrained(path / "text_encoder")
    oracle.tokenizer.save_pretrained(path / "tokenizer")
    return path


@pytest.fixture
def network_folder(folder: Path, tmp_path: Path) -> Path:
    for file in (folder / "text_encoder").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def pooled(folder: Path, tokenizer_folder: Path, **kwargs: object) -> torch.Tensor:
    with torch.no_grad():
        return load_clip(folder, **cast(Oracle, kwargs))(ClipTokenizer(tokenizer_folder)(PROMPTS, 77))


@torch.no_grad()
def test_the_pooled_state_is_the_one_that_diffusers_gets(folder: Path, oracle: Oracle) -> None:
    _, expected, _ = oracle.encode_prompt(PROMPTS, max_sequence_length=8)
    assert all((one - other).std() > 0.3 for one, other in pairwise(expected)), "sees prompts"
    ours = pooled(folder / "text_encoder", folder / "tokenizer")
    assert ours.shape == (len(PROMPTS), TEXT_SIZE)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_in_bfloat16_it_is_rounded_where_transformers_rounds(folder: Path) -> None:
    oracle = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.bfloat16)
    expected = cast(Oracle, oracle)(ClipTokenizer(folder / "tokenizer")(PROMPTS, 77).ids_BL).pooler_output
    ours = pooled(folder / "text_encoder", folder / "tokenizer", dtype=torch.bfloat16)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, expected, atol=0, rtol=0)


def test_names_of_older_files_are_read(network_folder: Path, folder: Path) -> None:
    file = network_folder / "model.safetensors"
    tensors = {f"text_model.{name}": tensor for name, tensor in load_file(file).items()}
    save_file({**tensors, "text_model.embeddings.position_ids": torch.arange(77)[None]}, file)
    tokenizer = folder / "tokenizer"
    torch.testing.assert_close(
        pooled(network_folder, tokenizer), pooled(folder / "text_encoder", tokenizer), atol=0, rtol=0
    )


@pytest.mark.parametrize("extra", [[], [-1], [0, -1, 0]])
@torch.no_grad()
def test_the_end_is_found_as_transformers_finds_it(network_folder: Path, folder: Path, extra: list[int]) -> None:
    """Published configurations say eos_token_id 2, which means the highest id; newer ones say the id itself."""
    tokenizer = ClipTokenizer(folder / "tokenizer")
    tokens = tokenizer(PROMPTS[:2], 77)
    tokens.ids_BL[:, 4 : 4 + len(extra)] = tokens.ids_BL.max() + torch.tensor(extra)
    for end in (2, int(tokens.ids_BL.max())):
        config = json.loads((network_folder / "config.json").read_text()) | {"eos_token_id": end}
        (network_folder / "config.json").write_text(json.dumps(config))
        oracle = cast(Oracle, CLIPTextModel.from_pretrained(network_folder))
        assert oracle.eos_token_id == end
        ours = load_clip(network_folder)(tokens)
        torch.testing.assert_close(ours, oracle(tokens.ids_BL).pooler_output, atol=1e-5, rtol=0)


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
    with torch.device("meta"):
        encoder = ClipTextEncoder(config)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 123_060_480
    assert encoder.num_features == 768


def test_what_does_not_fit_is_refused(network_folder: Path) -> None:
    file, config = network_folder / "model.safetensors", network_folder / "config.json"
    tensors = load_file(file)
    save_file({**tensors, "text_projection.weight": torch.zeros(1)}, file)
    with pytest.raises(UnknownKeys, match="text_projection"):
        load_clip(network_folder)
    save_file({name: tensor for name, tensor in tensors.items() if name != "final_layer_norm.bias"}, file)
    with pytest.raises(MissingKeys, match=r"final_layer_norm\.bias"):
        load_clip(network_folder)
    config.write_text(config.read_text().replace("CLIPTextModel", "CLIPVisionModel"))
    with pytest.raises(MalformedConfig, match="names no CLIPTextModel"):
        load_clip(network_folder)


@pytest.mark.parametrize("skip", [0, 1])
@torch.no_grad()
def test_token_states_and_projection_are_those_of_transformers(folder: Path, tmp_path: Path, skip: int) -> None:
    torch.manual_seed(0)
    config = CLIPTextConfig.from_pretrained(folder / "text_encoder", projection_dim=24, hidden_act="gelu")
    network = cast(Oracle, CLIPTextModelWithProjection)(config).eval()
    network.save_pretrained(tmp_path)
    tokens = ClipTokenizer(folder / "tokenizer")(PROMPTS, 77)
    expected = network(tokens.ids_BL, output_hidden_states=True)
    ours = load_clip(tmp_path, projected=True)
    found = ours.features(tokens, skip, normed=False)
    assert (ours.num_features, ours.num_pooled) == (TEXT_SIZE, 24)
    torch.testing.assert_close(found.tokens_BLC, expected.hidden_states[-(skip + 1)], atol=1e-6, rtol=0)
    torch.testing.assert_close(found.pooled_BC, expected.text_embeds, atol=1e-6, rtol=0)
    normed = ours.features(tokens, 0, normed=True)
    torch.testing.assert_close(normed.tokens_BLC, expected.last_hidden_state, atol=1e-6, rtol=0)


def test_a_clip_without_any_layer_is_refused(folder: Path) -> None:
    tokens = ClipTokenizer(folder / "tokenizer")(PROMPTS, 77)
    with pytest.raises(UnsupportedInput, match="clip_skip: 2 of 2 layers"):
        load_clip(folder / "text_encoder").features(tokens, 2, normed=True)
