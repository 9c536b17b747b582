"""T5's states as Diffusers' FLUX.1 pipelines get them, and the files in which the network is found."""

from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5EncoderModel

from models.checkpoints.t5 import load_t5
from models.errors import MalformedConfig, MissingKeys
from models.text.t5 import T5Encoder
from models.text.tokenizers import T5Tokenizer
from tests.fixtures.tiny_models import tiny_flux1_pipeline
from tests.fixtures.tiny_text import TEXT_SIZE, Oracle

PROMPTS = ["a red apple on a blue background", "one green sailboat", "", "a rocket over the sea " * 30]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return tiny_flux1_pipeline()


@pytest.fixture(scope="module")
def folder(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("t5")
    oracle.text_encoder_2.save_pretrained(path / "text_encoder_2")
    oracle.tokenizer_2.save_pretrained(path / "tokenizer_2")
    return path


@pytest.fixture
def network_folder(folder: Path, tmp_path: Path) -> Path:
    for file in (folder / "text_encoder_2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.parametrize("max_length", [8, 24])
@torch.no_grad()
def test_the_states_are_those_that_diffusers_gets(folder: Path, oracle: Oracle, max_length: int) -> None:
    expected, _, _ = oracle.encode_prompt(PROMPTS, max_sequence_length=max_length)
    assert (expected[0] - expected[1]).std() > 0.3, "sees prompts"
    ours = load_t5(folder / "text_encoder_2")(T5Tokenizer(folder / "tokenizer_2")(PROMPTS, max_length))
    assert ours.shape == (len(PROMPTS), max_length, TEXT_SIZE)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_padding_is_seen(folder: Path) -> None:
    encoder, tokenizer = load_t5(folder / "text_encoder_2"), T5Tokenizer(folder / "tokenizer_2")
    short, long = (encoder(tokenizer(PROMPTS[:1], length))[:, :8] for length in (16, 32))
    assert (short - long).std() > 0.01


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_in_16_bits_it_is_rounded_where_transformers_rounds(folder: Path, dtype: torch.dtype) -> None:
    tokens = T5Tokenizer(folder / "tokenizer_2")(PROMPTS, 24)
    oracle = T5EncoderModel.from_pretrained(folder / "text_encoder_2", dtype=dtype)
    expected = cast(Oracle, oracle)(tokens.ids_BL)[0]
    ours = load_t5(folder / "text_encoder_2", dtype=dtype)(tokens)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, expected, atol=0, rtol=0)


def test_in_float16_only_the_matrices_that_overflow_stay_in_float32(folder: Path) -> None:
    encoder = load_t5(folder / "text_encoder_2", dtype=torch.float16)
    wide = {name for name, parameter in encoder.named_parameters() if parameter.dtype == torch.float32}
    assert wide == {f"encoder.block.{i}.layer.1.DenseReluDense.wo.weight" for i in range(2)}
    whole = load_t5(folder / "text_encoder_2")
    assert all(torch.equal(encoder.get_parameter(name), whole.get_parameter(name)) for name in wide)
    half = load_t5(folder / "text_encoder_2", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("held", [("encoder.embed_tokens.weight",), ("shared.weight", "encoder.embed_tokens.weight")])
def test_the_embedding_is_read_under_either_name_or_both(network_folder: Path, held: tuple[str, ...]) -> None:
    file = network_folder / "model.safetensors"
    tensors = load_file(file)
    embedding = tensors.pop("shared.weight")
    save_file({**tensors, **{name: embedding.clone() for name in held}}, file)
    assert torch.equal(load_t5(network_folder).encoder.embed_tokens.weight, embedding)


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    config = T5Config(
        vocab_size=32128,
        d_model=4096,
        d_kv=64,
        d_ff=10240,
        num_layers=24,
        num_heads=64,
        feed_forward_proj="gated-gelu",
    )
    with torch.device("meta"):
        encoder = T5Encoder(config)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 4_762_310_656
    assert encoder.num_features == 4096
    assert config.use_cache, "the caller's configuration is left as it was"


def test_what_does_not_fit_is_refused(network_folder: Path) -> None:
    file, config = network_folder / "model.safetensors", network_folder / "config.json"
    tensors = load_file(file)
    save_file({name: tensor for name, tensor in tensors.items() if name != "shared.weight"}, file)
    with pytest.raises(MissingKeys, match=r"shared\.weight"):
        load_t5(network_folder)
    config.write_text(config.read_text().replace("T5EncoderModel", "T5ForConditionalGeneration"))
    with pytest.raises(MalformedConfig, match="names no T5EncoderModel"):
        load_t5(network_folder)
