"""UNets in single files: measured by their shapes under CompVis' and Diffusers' names, and loaded from either."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.checkpoints.detect import Kind, Naming, detect
from models.checkpoints.files import write_tensors
from models.checkpoints.keymap import Table
from models.checkpoints.keymaps.unet import compvis_names, diffusers_names
from models.checkpoints.load import foreign_state
from models.checkpoints.shapes import Shape
from models.checkpoints.single_file import load_unet_file
from models.errors import CheckpointError, MissingKeys, ShapeMismatch, UnservedCheckpoint
from models.specs import SD15, SD15_INPAINTING, SDXL, SDXL_REFINER
from models.unet.unet import Unet, UnetParams

PREFIX = "model.diffusion_model."
TINY = UnetParams(block_channels=(32, 64), depths=(1, 0), heads=(8, 8), layers_per_block=1, context_channels=16)


def tables(params: UnetParams, *, linear_projection: bool) -> dict[tuple[Naming, str], Table]:
    return {
        (Naming.NATIVE, prefix): compvis_names(params, prefix, linear_projection=linear_projection)
        for prefix in ("", PREFIX)
    } | {(Naming.DIFFUSERS, ""): diffusers_names(linear_projection=linear_projection)}


def shapes_of(network: Unet, table: Table) -> dict[str, Shape]:
    return {name: tuple(part.shape) for name, part in foreign_state(network, table).items()}


@pytest.mark.parametrize(
    ("params", "linear_projection"),
    [(SD15, False), (SD15_INPAINTING, False), (SDXL, True), (SDXL_REFINER, True), (TINY, False)],
)
def test_unets_are_measured_under_every_naming(params: UnetParams, linear_projection: bool) -> None:
    with torch.device("meta"):
        network = Unet(params)
    for (naming, prefix), table in tables(params, linear_projection=linear_projection).items():
        found = detect(shapes_of(network, table) | ({"alphas_cumprod": (1000,)} if prefix else {}), "file")
        assert (found.kind, found.naming, found.prefix, found.unet) == (Kind.UNET, naming, prefix, params)
        assert found.beside == (("alphas_cumprod",) if prefix else ())


def test_compvis_names_are_those_of_published_files() -> None:
    with torch.device("meta"):
        base, old = Unet(SDXL), Unet(SD15)
    sdxl = shapes_of(base, compvis_names(SDXL, PREFIX, linear_projection=True))
    assert sdxl[f"{PREFIX}label_emb.0.0.weight"] == (1280, 2816)
    assert sdxl[f"{PREFIX}input_blocks.3.0.op.weight"] == (320, 320, 3, 3)
    assert sdxl[f"{PREFIX}output_blocks.2.2.conv.weight"] == (1280, 1280, 3, 3)
    assert sdxl[f"{PREFIX}input_blocks.7.1.transformer_blocks.9.attn2.to_k.weight"] == (1280, 2048)
    sd15 = shapes_of(old, compvis_names(SD15, PREFIX, linear_projection=False))
    assert sd15[f"{PREFIX}input_blocks.1.1.proj_in.weight"] == (320, 320, 1, 1)
    assert sd15[f"{PREFIX}output_blocks.2.1.conv.weight"] == (1280, 1280, 3, 3)
    assert sd15[f"{PREFIX}output_blocks.5.2.conv.weight"] == (1280, 1280, 3, 3)
    assert sd15[f"{PREFIX}output_blocks.11.0.skip_connection.weight"] == (320, 640, 1, 1)
    assert len(sd15) == 686


@pytest.mark.parametrize("linear_projection", [False, True])
@torch.no_grad()
def test_the_same_weights_come_out_of_every_file(tmp_path: Path, linear_projection: bool) -> None:
    torch.manual_seed(0)
    network = Unet(replace(TINY, linear_projection=linear_projection)).eval()
    given = torch.randn(1, 4, 8, 8), torch.tensor([12.5]), torch.randn(1, 3, 16)
    expected = network(*given)
    for number, table in enumerate(tables(TINY, linear_projection=linear_projection).values()):
        path = tmp_path / f"{number}.safetensors"
        beside = {"first_stage_model.x": torch.zeros(1)} if PREFIX in str(table) else {}
        write_tensors(path, foreign_state(network, table) | beside)
        again = load_unet_file(path, heads=TINY.heads)
        assert torch.equal(again(*given), expected)


def test_the_refiner_is_told_five_numbers() -> None:
    assert SDXL.added is not None
    assert SDXL_REFINER.added is not None
    assert (SDXL.added.num_numbers, SDXL_REFINER.added.num_numbers) == (6, 5)


@pytest.mark.parametrize(
    ("name", "shape", "error"),
    [
        ("conv_in.weight", (32,), ShapeMismatch),
        ("mid_block.attentions.0.proj_in.weight", None, MissingKeys),
        ("down_blocks.0.resnets.0.conv2.weight", (33, 32, 3, 3), ShapeMismatch),
        ("conv_out.weight", None, MissingKeys),
    ],
)
def test_a_unet_that_contradicts_itself_is_refused(
    name: str, shape: Shape | None, error: type[CheckpointError]
) -> None:
    with torch.device("meta"):
        shapes = shapes_of(Unet(TINY), diffusers_names(linear_projection=False))
    shapes = {key: value for key, value in shapes.items() if key != name} | ({name: shape} if shape else {})
    with pytest.raises(error):
        detect(shapes, "file")


def test_a_file_of_something_else_is_no_unet(tmp_path: Path) -> None:
    write_tensors(
        tmp_path / "a.safetensors", {"redux_up.weight": torch.ones(6, 4), "redux_down.weight": torch.ones(5, 6)}
    )
    with pytest.raises(UnservedCheckpoint, match="not a UNet"):
        load_unet_file(tmp_path / "a.safetensors")


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="no multiple of 7 heads"):
        replace(TINY, heads=(7, 8))
