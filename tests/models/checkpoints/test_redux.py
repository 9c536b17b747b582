"""Redux' embedder equals Diffusers' ReduxImageEncoder, from its folder and from Black Forest Labs' file."""

from pathlib import Path
from typing import cast

import pytest
import torch
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from safetensors.torch import load_file, save_file

from models.checkpoints.redux import load_redux
from models.errors import MalformedConfig, MissingKeys, ShapeMismatch, UnknownKeys
from models.vision.redux import ReduxEmbedder, ReduxParams
from tests.fixtures.tiny_models import tiny_redux_folder
from tests.fixtures.tiny_text import TEXT_SIZE, Oracle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_redux_folder(tmp_path_factory.mktemp("redux")) / "image_embedder"


@pytest.fixture(scope="module")
def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_tokens_are_those_of_diffusers(folder: Path, dtype: torch.dtype) -> None:
    features = torch.randn(2, 7, TEXT_SIZE, generator=torch.Generator().manual_seed(0)).to(dtype)
    oracle = cast(Oracle, ReduxImageEncoder.from_pretrained(folder, torch_dtype=dtype))
    expected = oracle(features).image_embeds
    assert expected.std() > 0.1
    torch.testing.assert_close(load_redux(folder, dtype=dtype)(features), expected, atol=0, rtol=0)


def test_the_single_file_is_the_same_network(folder: Path, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file(weights, tmp_path / "flux1-redux-dev.safetensors")
    one, other = load_redux(tmp_path / "flux1-redux-dev.safetensors"), load_redux(folder)
    assert one.params == other.params == ReduxParams(TEXT_SIZE, TEXT_SIZE)
    assert all(torch.equal(one.get_parameter(name), other.get_parameter(name)) for name in weights)


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(parameter.shape) for name, parameter in ReduxEmbedder(ReduxParams()).named_parameters()}
    assert shapes == {
        "redux_up.weight": (12288, 1152),
        "redux_up.bias": (12288,),
        "redux_down.weight": (4096, 12288),
        "redux_down.bias": (4096,),
    }


def test_what_does_not_fit_is_refused(folder: Path, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    def refused(tensors: dict[str, torch.Tensor], error: type[Exception], complaint: str) -> None:
        save_file(tensors, tmp_path / "file.safetensors")
        with pytest.raises(error, match=complaint):
            load_redux(tmp_path / "file.safetensors")

    refused({"a": torch.zeros(1)}, MissingKeys, r"redux_up\.weight")
    refused({**weights, "a": torch.zeros(1)}, UnknownKeys, "unknown keys: a")
    refused({**weights, "redux_up.weight": torch.zeros(4, 3)}, ShapeMismatch, r"redux_up\.weight is \[4, 3\]")
    refused({**weights, "redux_down.bias": torch.zeros(4)}, ShapeMismatch, r"redux_down\.bias")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(MalformedConfig, match="ReduxImageEncoder"):
        load_redux(other)
