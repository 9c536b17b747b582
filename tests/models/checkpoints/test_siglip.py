"""Redux' way from a picture to tokens against Diffusers' FluxPriorReduxPipeline, and the folders and files that hold it."""

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import SiglipVisionConfig, SiglipVisionModel

from models.checkpoints.redux import load_redux
from models.checkpoints.siglip import load_siglip
from models.errors import MalformedConfig, MissingComponent, UnknownKeys
from models.vision.siglip import SiglipEncoder, SiglipPreprocessor
from tests.fixtures.tiny_models import tiny_flux1_pipeline, tiny_redux_folder, tiny_redux_pipeline
from tests.fixtures.tiny_text import TEXT_SIZE, Oracle

NUM_TOKENS = 16


def picture(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """A smooth picture with something everywhere."""
    rough = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


PICTURES = [picture(50, 40, 0), picture(20, 33, 1), picture(32, 32, 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_redux_folder(tmp_path_factory.mktemp("redux"))


@pytest.fixture
def network_folder(folder: Path, tmp_path: Path) -> Path:
    for file in (folder / "image_encoder").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def features(encoder_folder: Path, folder: Path, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    pixels = SiglipPreprocessor(folder / "feature_extractor")(PICTURES)
    with torch.no_grad():
        return load_siglip(encoder_folder, dtype=dtype)(pixels.to(dtype))


def test_pixels_are_those_that_diffusers_feeds_to_the_encoder(folder: Path) -> None:
    ours = SiglipPreprocessor(folder / "feature_extractor")(PICTURES)
    extractor = tiny_redux_pipeline().feature_extractor
    images = [Image.fromarray(pixels) for pixels in PICTURES]
    expected = extractor.preprocess(images=images, do_resize=True, return_tensors="pt", do_convert_rgb=True)
    assert torch.equal(ours, expected["pixel_values"])
    assert ours.dtype == torch.float32
    exact = torch.from_numpy(PICTURES[2].astype(np.float32)).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(ours[2], exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "change",
    [
        {"size": {"height": 24, "width": 40}},
        {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]},
        {"rescale_factor": 1 / 100},
        {"resample": 2},
    ],
)
def test_the_folder_says_how_pixels_are_prepared(folder: Path, tmp_path: Path, change: dict[str, object]) -> None:
    config = json.loads((folder / "feature_extractor" / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config | change))
    usual = SiglipPreprocessor(folder / "feature_extractor")(PICTURES)
    changed = SiglipPreprocessor(tmp_path)(PICTURES)
    assert changed.shape[2:] == (24, 40) if "size" in change else not torch.equal(usual, changed)


@torch.no_grad()
def test_features_are_those_that_diffusers_gets(folder: Path) -> None:
    images = [Image.fromarray(pixels) for pixels in PICTURES]
    expected = tiny_redux_pipeline().encode_image(images, torch.device("cpu"), 1)
    assert (expected[0] - expected[1]).std() > 0.1, "sees pictures"
    ours = features(folder / "image_encoder", folder)
    assert ours.shape == (len(PICTURES), NUM_TOKENS, TEXT_SIZE)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_in_bfloat16_they_are_rounded_where_transformers_rounds(folder: Path) -> None:
    oracle = cast(Oracle, SiglipVisionModel.from_pretrained(folder / "image_encoder", dtype=torch.bfloat16))
    pixels = SiglipPreprocessor(folder / "feature_extractor")(PICTURES).bfloat16()
    expected = oracle(pixel_values=pixels).last_hidden_state
    ours = features(folder / "image_encoder", folder, torch.bfloat16)
    torch.testing.assert_close(ours, expected, atol=0, rtol=0)


def test_names_of_older_files_are_read(network_folder: Path, folder: Path) -> None:
    file = network_folder / "model.safetensors"
    tensors = {f"vision_model.{name}": tensor for name, tensor in load_file(file).items()}
    save_file({**tensors, "vision_model.embeddings.position_ids": torch.arange(NUM_TOKENS)[None]}, file)
    assert torch.equal(features(network_folder, folder), features(folder / "image_encoder", folder))


def test_the_pooling_head_is_left_in_the_file(folder: Path) -> None:
    held = load_file(folder / "image_encoder" / "model.safetensors")
    assert any(name.startswith("head.") for name in held)
    assert not any("head" in name for name in load_siglip(folder / "image_encoder").state_dict())


def test_the_published_encoder_makes_729_tokens() -> None:
    config = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=27,
        num_attention_heads=16,
        image_size=384,
        patch_size=14,
    )
    with torch.device("meta"):
        features_BLC = SiglipEncoder(config)(torch.zeros(1, 3, 384, 384))
    assert features_BLC.shape == (1, 729, 1152)
    assert config.vision_use_head, "the caller's configuration is left as it was"


@torch.no_grad()
def test_a_picture_and_a_prompt_make_the_tokens_that_diffusers_makes(folder: Path) -> None:
    """Diffusers puts the picture's tokens behind T5's and leaves CLIP's state alone."""
    base = tiny_flux1_pipeline()
    oracle = tiny_redux_pipeline(base=base)
    output = oracle(Image.fromarray(PICTURES[0]), prompt="a red apple")
    embeds = output.prompt_embeds
    text, pooled, _ = base.encode_prompt("a red apple", max_sequence_length=512)
    torch.testing.assert_close(embeds[:, :512], text, atol=0, rtol=0)
    torch.testing.assert_close(output.pooled_prompt_embeds, pooled, atol=0, rtol=0)
    ours = load_redux(folder / "image_embedder")(features(folder / "image_encoder", folder)[:1])
    torch.testing.assert_close(embeds[:, 512:], ours, atol=1e-5, rtol=0)


def test_what_does_not_fit_is_refused(network_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file, config = network_folder / "model.safetensors", network_folder / "config.json"
    save_file({**load_file(file), "text_model.embeddings.token_embedding.weight": torch.zeros(1)}, file)
    with pytest.raises(UnknownKeys, match="text_model"):
        load_siglip(network_folder)
    config.write_text(config.read_text().replace("SiglipVisionModel", "CLIPVisionModel"))
    with pytest.raises(MalformedConfig, match="names no SiglipVisionModel"):
        load_siglip(network_folder)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(MissingComponent, match=r"preprocessor_config\.json"):
        SiglipPreprocessor(empty)
    (empty / "preprocessor_config.json").write_text("{")
    with pytest.raises(MalformedConfig, match="is no image processor"):
        SiglipPreprocessor(empty)
