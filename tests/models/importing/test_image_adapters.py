"""IP-Adapters become folders: from their authors' file or pickle with the encoder beside it, or with that of another folder."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from models.checkpoints.detect import Kind, detect_file
from models.checkpoints.image_adapter import load_image_adapter_file
from models.errors import MissingKeys, ShapeMismatch, UnknownCheckpoint, UnknownKeys
from models.importing.errors import ImportRefused
from models.pipeline.loading import load_adapter_prompter
from models.unet.unet import UnetParams
from tests.fixtures.tiny_image_adapters import PICTURE, Projection, tiny_published_adapter
from tests.models.importing.conftest import Import
from tests.models.pipeline.parity import picture

UNET = UnetParams(
    block_channels=(8, 16), depths=(1, 0), heads=(2, 2), layers_per_block=1, context_channels=32, norm_num_groups=4
)
BASE = "ip-adapter-sd-1.5"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return tiny_published_adapter(tmp_path / "repository" / "models", "base", UNET)


def nested(file: Path) -> Path:
    """The same as a pickle of dicts in a dict, as the authors publish it too."""
    held: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in load_file(file).items():
        part, rest = name.split(".", 1)
        held[part][rest] = tensor
    torch.save(held, file.with_suffix(".bin"))
    file.unlink()
    return file.with_suffix(".bin")


def changed(file: Path, **change: Tensor | None) -> Path:
    tensors: Mapping[str, Tensor | None] = {
        **load_file(file),
        **{name.replace("__", "."): tensor for name, tensor in change.items()},
    }
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, file)
    return file


@pytest.mark.parametrize("as_pickle", [False, pytest.param(True, marks=pytest.mark.prove)])
def test_a_published_file_brings_the_encoder_beside_it(bring: Import, published: Path, *, as_pickle: bool) -> None:
    assert detect_file(published).kind is Kind.IMAGE_ADAPTER
    expected = load_image_adapter_file(published).state_dict()
    made = bring(nested(published) if as_pickle else published, like=BASE)
    prompter, image = load_adapter_prompter(made), picture(50, 40)
    assert all(torch.equal(expected[name], tensor) for name, tensor in prompter.adapter.state_dict().items())
    # The repository says nothing of pictures: what is written is what Diffusers makes of the encoder's size.
    theirs = cast(Any, CLIPImageProcessorPil)(size=PICTURE, crop_size=PICTURE)(image, return_tensors="pt")
    assert torch.equal(prompter.preprocessing([np.asarray(image)]), theirs["pixel_values"])


def test_an_installed_adapter_lends_its_encoder(bring: Import, published: Path, tmp_path: Path) -> None:
    first = bring(published, like=BASE, name="first")
    plus = tiny_published_adapter(tmp_path / "other", "plus", UNET)
    shutil.rmtree(plus.parent / "image_encoder")
    with pytest.raises(ImportRefused, match=r"lacks components of mine: image_encoder \(--image-encoder DIR\)"):
        bring(plus, like="ip-adapter-plus-sd-1.5")
    lent = load_adapter_prompter(bring(plus, like="ip-adapter-plus-sd-1.5", base=first))
    given = bring(
        plus, like="ip-adapter-plus-sd-1.5", name="given", swaps={"image_encoder": published.parent / "image_encoder"}
    )
    tokens = [prompter.adapter(torch.ones(1, 17, 32)) for prompter in (lent, load_adapter_prompter(given))]
    assert torch.equal(*tokens)


def refusal(projection: Projection, change: Mapping[str, Tensor | None], error: type[Exception], said: str) -> Any:
    return pytest.param(projection, change, error, said, id=said)


@pytest.mark.parametrize(
    ("projection", "change", "error", "message"),
    [
        refusal("base", {"ip_adapter__3__to_v_ip__weight": None}, MissingKeys, "ip_adapter.3.to_v_ip.weight"),
        refusal("base", {"ip_adapter__2__to_k_ip__weight": torch.ones(8, 32)}, UnknownKeys, "ip_adapter.2.to_k_ip"),
        refusal("base", {"image_proj__norm__bias": torch.ones(31)}, ShapeMismatch, r"image_proj.norm.bias is \[31\]"),
        refusal("base", {"ip_adapter__1__to_k_ip__weight": torch.ones(8, 31)}, ShapeMismatch, r"is \[8, 31\]"),
        refusal("base", {"image_proj__proj__weight": None}, UnknownCheckpoint, "of a kind that is not read here"),
        refusal("plus", {}, ShapeMismatch, "ResamplerParams, not LinearParams"),
        refusal("plus", {"image_proj__layers__1__1__3__weight": None}, MissingKeys, "image_proj.layers.1.1.3.weight"),
    ],
)
def test_what_is_no_such_adapter_is_refused_and_leaves_nothing(
    bring: Import,
    into: Path,
    tmp_path: Path,
    projection: Projection,
    change: Mapping[str, Tensor | None],
    error: type[Exception],
    message: str,
) -> None:
    file = changed(tiny_published_adapter(tmp_path / "other", projection, UNET), **change)
    with pytest.raises(error, match=message):
        bring(file, like=BASE)
    assert not (into / "mine").exists()


def test_a_published_name_asks_for_the_published_sizes(bring: Import, published: Path) -> None:
    with pytest.raises(ShapeMismatch, match=r"this is not ip-adapter-sd-1\.5: it fits another UNet"):
        bring(published, like=None, name=BASE)
