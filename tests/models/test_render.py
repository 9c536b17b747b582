"""python -m models.render: a picture in a file, the folder's defaults, and errors that a person can act on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.pipeline.drawing import draw
from models.pipeline.loading import load_components
from models.pipeline.request import request_for
from models.render import main
from tests.fixtures.tiny_models import tiny_klein_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_klein_folder(tmp_path_factory.mktemp("render") / "tiny")


def test_the_picture_is_the_pipelines(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    arguments = ["--weights", str(folder), "--prompt", "a red apple", "--out", str(out), "--device", "cpu"]
    assert main([*arguments, "--seed", "3", "--width", "96", "--steps", "2", "--guidance", "2"]) == 0
    components = load_components(folder)
    request = request_for(components.defaults, "a red apple", seed=3, width=96, num_steps=2, guidance=2)
    expected = draw(components, request)
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(expected))


def test_the_negative_prompt_and_the_dtype_reach_the_network(folder: Path, tmp_path: Path) -> None:
    def drawn(*more: str) -> bytes:
        assert main(["--weights", str(folder), "--prompt", "apple", "--out", str(tmp_path / "x.png"), *more]) == 0
        return (tmp_path / "x.png").read_bytes()

    plain = drawn()
    assert drawn() == plain
    assert drawn("--negative-prompt", "rocket") != plain
    assert drawn("--dtype", "bfloat16") != plain


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "63"], "width 63 is no positive multiple of 16"),
        (["--device", "warp"], "device 'warp' cannot be used"),
        (["--weights", "nowhere"], "nowhere is no folder"),
    ],
)
def test_errors_are_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    common = ["--weights", str(folder), "--prompt", "apple", "--out", str(tmp_path / "x.png")]
    assert main([*common, *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "is no whole number from 0"),
        (["--steps", "0"], "is no whole number from 1"),
        (["--dtype", "int8"], "invalid choice"),
        (["--out", "x.tiff"], "ends in none of"),
        (["--out", "no/such/folder/x.png"], "there is no folder"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_explained(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--weights", "w", "--prompt", "p", "--out", "x.png", *arguments])
    assert message in capsys.readouterr().err
