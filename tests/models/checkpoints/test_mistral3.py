"""Mistral's states as Diffusers' Flux2Pipeline gets them, and the folders in which the network is found."""

import json
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Mistral3ForConditionalGeneration, MistralConfig, MistralForCausalLM

from models.checkpoints.mistral3 import load_mistral3
from models.errors import MalformedConfig, UnknownKeys
from models.specs import DEV_TEXT
from models.text.mistral3 import Mistral3Encoder
from models.text.tokenizers import MistralChatTokenizer, Tokens
from tests.fixtures.tiny_models import DEV_MAX_LENGTH, OUT_LAYERS, tiny_flux2_dev_folder, tiny_flux2_dev_pipeline
from tests.fixtures.tiny_text import MISTRAL_LAYERS, TEXT_SIZE, Oracle

PROMPTS = ["a red apple on a blue background", "one green sailboat[IMG]", "", "a rocket over the sea " * 30]
TEXT_PREFIX = "language_model.model."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_flux2_dev_folder(tmp_path_factory.mktemp("dev"))


@pytest.fixture
def network_folder(folder: Path, tmp_path: Path) -> Path:
    for file in (folder / "text_encoder").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def tokens(folder: Path) -> Tokens:
    return MistralChatTokenizer(folder / "tokenizer")(PROMPTS, DEV_MAX_LENGTH)


def diffusers(folder: Path, out_layers: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """What Diffusers makes of the prompts."""
    oracle = tiny_flux2_dev_pipeline()
    oracle.text_encoder = Mistral3ForConditionalGeneration.from_pretrained(folder / "text_encoder", dtype=dtype)
    with torch.no_grad():
        features, _ = oracle.encode_prompt(
            PROMPTS, max_sequence_length=DEV_MAX_LENGTH, text_encoder_out_layers=out_layers
        )
    return features


@pytest.mark.parametrize("out_layers", [OUT_LAYERS, (3, 1), (2, MISTRAL_LAYERS)])
@torch.no_grad()
def test_the_states_are_those_that_diffusers_gets(folder: Path, tokens: Tokens, out_layers: tuple[int, ...]) -> None:
    expected = diffusers(folder, out_layers)
    assert (expected[0] - expected[1]).abs().max() > 0.3, "sees prompts"
    encoder = load_mistral3(folder / "text_encoder", out_layers)
    assert (encoder.num_layers, encoder.num_features) == (max(out_layers), len(out_layers) * TEXT_SIZE)
    torch.testing.assert_close(encoder(tokens), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_in_bfloat16_they_are_rounded_where_transformers_rounds(folder: Path, tokens: Tokens) -> None:
    ours = load_mistral3(folder / "text_encoder", OUT_LAYERS, dtype=torch.bfloat16)(tokens)
    torch.testing.assert_close(ours, diffusers(folder, OUT_LAYERS, torch.bfloat16), atol=0, rtol=0)


@torch.no_grad()
def test_padding_sees_nothing_and_changes_no_text(folder: Path) -> None:
    encoder = load_mistral3(folder / "text_encoder", (2,))
    tokenizer = MistralChatTokenizer(folder / "tokenizer")
    short, long = tokenizer(PROMPTS[:1], 40), tokenizer(PROMPTS[:1], DEV_MAX_LENGTH)
    (features_short,), (features_long,) = encoder(short), encoder(long)
    torch.testing.assert_close(features_short[short.mask_BL[0] == 1], features_long[long.mask_BL[0] == 1])
    padding = features_long[long.mask_BL[0] == 0]
    assert padding.isfinite().all()
    assert torch.equal(padding, padding[:1].expand_as(padding)), "nothing tells the rows apart"
    # What a row without attention is: each layer adds its feed-forward part alone.
    state = cast(Oracle, encoder.model).embed_tokens(long.ids_BL[0, :1])
    for layer in cast(Oracle, encoder.model.layers):
        state = state + layer.mlp(layer.post_attention_layernorm(state))
    torch.testing.assert_close(padding[:1], state)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@torch.no_grad()
def test_attention_is_torchs_whatever_a_configuration_says(
    network_folder: Path, folder: Path, tokens: Tokens, implementation: str
) -> None:
    config = json.loads((network_folder / "config.json").read_text())
    config["_attn_implementation"] = config["text_config"]["_attn_implementation"] = implementation
    (network_folder / "config.json").write_text(json.dumps(config))
    one, other = (load_mistral3(path, OUT_LAYERS)(tokens) for path in (network_folder, folder / "text_encoder"))
    assert torch.equal(one, other)


@pytest.mark.parametrize("prefix", ["model.language_model.", "model."])
@torch.no_grad()
def test_other_versions_name_it_otherwise(network_folder: Path, folder: Path, tokens: Tokens, prefix: str) -> None:
    file = network_folder / "model.safetensors"
    tensors = {
        prefix + name.removeprefix(TEXT_PREFIX) if name.startswith(TEXT_PREFIX) else f"model.{name}": tensor
        for name, tensor in load_file(file).items()
        if "lm_head" not in name
    }
    save_file({**tensors, "lm_head.weight": torch.zeros(1)}, file)
    one, other = (load_mistral3(path, OUT_LAYERS)(tokens) for path in (network_folder, folder / "text_encoder"))
    assert torch.equal(one, other)


@torch.no_grad()
def test_a_language_model_alone_is_read(folder: Path, tmp_path: Path, tokens: Tokens) -> None:
    whole = Mistral3ForConditionalGeneration.from_pretrained(folder / "text_encoder")
    alone = MistralForCausalLM(cast(Oracle, whole).config.text_config)
    alone.model.load_state_dict(cast(Oracle, whole).model.language_model.state_dict())
    alone.save_pretrained(tmp_path)
    one, other = (load_mistral3(path, OUT_LAYERS)(tokens) for path in (tmp_path, folder / "text_encoder"))
    assert torch.equal(one, other)


def test_the_published_network_is_cut_after_the_layers_that_dev_reads() -> None:
    config = MistralConfig(
        vocab_size=131_072,
        hidden_size=5120,
        intermediate_size=32_768,
        num_hidden_layers=40,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
    )
    with torch.device("meta"):
        encoder = Mistral3Encoder(config, DEV_TEXT.out_layers)
    attention, feed_forward = 2 * 5120 * 128 * (32 + 8), 3 * 5120 * 32_768
    expected = 131_072 * 5120 + 30 * (attention + feed_forward + 2 * 5120)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == expected
    assert encoder.num_features == 15_360


def test_what_does_not_fit_is_refused(network_folder: Path) -> None:
    with pytest.raises(MalformedConfig, match=f"has {MISTRAL_LAYERS} layers; the features need layer 30"):
        load_mistral3(network_folder, DEV_TEXT.out_layers)
    file, config = network_folder / "model.safetensors", network_folder / "config.json"
    save_file({**load_file(file), f"{TEXT_PREFIX}layers.9.mlp.up_proj.weight": torch.zeros(1)}, file)
    with pytest.raises(UnknownKeys, match=r"layers\.9"):
        load_mistral3(network_folder, OUT_LAYERS)
    fields = json.loads(config.read_text())
    config.write_text(json.dumps(fields | {"text_config": {"model_type": "llama"}}))
    with pytest.raises(MalformedConfig, match="text_config describes no Mistral"):
        load_mistral3(network_folder, OUT_LAYERS)
    config.write_text(json.dumps(fields | {"architectures": ["LlavaForConditionalGeneration"]}))
    with pytest.raises(MalformedConfig, match="names no Mistral3ForConditionalGeneration nor MistralForCausalLM"):
        load_mistral3(network_folder, OUT_LAYERS)
