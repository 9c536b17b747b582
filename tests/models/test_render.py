"""python -m models.render: a picture in a file, the folder's defaults, and errors that a person can act on."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.checkpoints.embedding_folder import write_embedding
from models.pipeline.drawing import draw
from models.pipeline.loading import load_adapter_prompter, load_components
from models.pipeline.request import PictureInputs, request_for
from models.pipeline.sd import SdComponents
from models.render import main
from tests.fixtures.tiny_image_adapters import tiny_adapter_folder
from tests.fixtures.tiny_models import tiny_flux1_folder, tiny_klein_folder
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.fixtures.tiny_text import TEXT_SIZE
from tests.models.pipeline.parity import mask, picture


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
    assert Image.open(BytesIO(drawn("--query-chunk", "7"))).size == (64, 64)


def test_pictures_reach_the_network_in_their_roles(folder: Path, tmp_path: Path) -> None:
    """References, a mask with one more reference, a strength: as the pipeline draws them; sizes follow the picture."""
    source, second, cover = picture(96, 64, 1), picture(64, 80, 2), mask(96, 64)
    for name, image in (("source", source), ("second", second), ("cover", cover)):
        image.save(tmp_path / f"{name}.png")
    components = load_components(folder)

    def drawn(*arguments: str) -> np.ndarray:
        paths = [str(tmp_path / f"{part}.png") if part in ("source", "second", "cover") else part for part in arguments]
        common = ["--weights", str(folder), "--prompt", "apple", "--steps", "2", "--device", "cpu"]
        assert main([*common, "--out", str(tmp_path / "x.png"), *paths]) == 0
        return np.asarray(Image.open(tmp_path / "x.png"))

    def expected(inputs: PictureInputs, strength: float | None = None) -> np.ndarray:
        request = request_for(
            components.defaults, "apple", num_steps=2, width=96, height=64, strength=strength, inputs=inputs
        )
        return np.asarray(draw(components, request))

    edited = drawn("--image", "source", "--image", "second")
    assert np.array_equal(edited, expected(PictureInputs(references=(source, second))))
    painted = drawn("--image", "source", "--mask", "cover", "--image", "second")
    assert np.array_equal(painted, expected(PictureInputs(image=source, mask=cover, references=(second,))))
    begun = drawn("--image", "source", "--strength", "0.5")
    assert np.array_equal(begun, expected(PictureInputs(image=source), strength=0.5))


def test_edges_margins_and_depth_are_arguments_of_the_networks_that_take_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(96, 64, 1).save(tmp_path / "source.png")
    fill = tiny_flux1_folder(tmp_path / "fill", variant="fill")
    control = tiny_flux1_folder(tmp_path / "control", variant="control")
    common = ["--prompt", "p", "--steps", "1", "--device", "cpu", "--out", str(tmp_path / "x.png")]
    image = ["--image", str(tmp_path / "source.png")]

    def size(*arguments: str) -> tuple[int, int]:
        assert main([*common, *arguments]) == 0
        with Image.open(tmp_path / "x.png") as image:
            return image.size

    assert size("--weights", str(fill), *image, "--margins", "16,0,0,32") == (128, 80)
    assert size("--weights", str(control), *image, "--edges", "40,120") == (96, 64)
    assert size("--weights", str(control), "--control", str(tmp_path / "source.png")) == (96, 64)
    assert main([*common, "--weights", str(fill), *image]) == 1
    assert "fill fills what a mask covers, and there is none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "63"], "width 63 is no positive multiple of 16"),
        (["--prompt-syntax", "a1111"], "prompt_syntax: "),
        (["--device", "warp"], "device 'warp' cannot be used"),
        (["--weights", "nowhere"], "nowhere is no folder"),
        (["--image", "pyproject.toml"], "pyproject.toml is no picture that can be read"),
        (["--strength", "0.5"], "strength: there is no image to start from"),
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
        (["--margins", "1,2,3"], "is not 4 whole numbers"),
        (["--edges", "a,b"], "is not 2 whole numbers"),
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


@pytest.mark.prove
def test_pictures_stand_for_words_where_something_reads_them(tmp_path: Path) -> None:
    network = tiny_sd_folder(tmp_path / "network")
    components = load_components(network)
    assert isinstance(components, SdComponents)
    adapter = tiny_adapter_folder(tmp_path / "adapter", "plus", components.unet.params)
    seen = picture(48, 48)
    seen.save(tmp_path / "seen.png")
    reads = ["--image", str(tmp_path / "seen.png"), "--image-prompter", str(adapter), "--image-prompt-strength", "0.5"]
    common = ["--weights", str(network), "--prompt", "apple", "--steps", "2", "--device", "cpu"]
    assert main([*common, "--out", str(tmp_path / "x.png"), *reads]) == 0
    request = request_for(
        components.defaults,
        "apple",
        num_steps=2,
        image_prompter="one",
        image_prompt_strength=0.5,
        inputs=PictureInputs(image_prompts=(seen,)),
    )
    expected = draw(components, request, {"one": load_adapter_prompter(adapter)})
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), np.asarray(expected))


def test_prompts_are_read_as_the_command_line_says(tmp_path: Path) -> None:
    network = tiny_sd_folder(tmp_path / "network")
    words = tmp_path / "words"
    words.mkdir()
    write_embedding(words, "<ztar>", (torch.ones(2, TEXT_SIZE),))

    def drawn(*more: str) -> bytes:
        common = ["--weights", str(network), "--prompt", "a (red:1.5) <ztar>", "--steps", "1", "--width", "64"]
        out = tmp_path / "x.png"
        assert main([*common, "--height", "64", "--device", "cpu", "--out", str(out), *more]) == 0
        return out.read_bytes()

    ways = [], ["--prompt-syntax", "a1111"], ["--clip-skip", "1"], ["--embedding", str(words)]
    assert len({drawn(*more) for more in ways}) == len(ways)
