"""python -m models.importing: its words, its exit status, and what is on the terminal meanwhile."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from models.checkpoints.loading import report
from models.importing.__main__ import main, parsed
from models.importing.progress import shown


def test_the_folder_that_was_made_is_the_only_output(
    klein: Path, into: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--into", str(into), "--hub", str(tmp_path / "hub")]
    assert main([str(klein), "--as", "mine", "--like", "flux-nano", *places]) == 0
    said = capsys.readouterr()
    assert said.out == f"{into / 'mine'}\n"
    assert [line.split(" (")[0] for line in said.err.splitlines()] == ["checking every name and shape", "hashing"]
    assert main([str(klein), "--as", "mine", "--like", "flux-nano", *places]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "/x"])
def test_a_name_that_is_no_folders_is_refused_before_anything(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(["x", "--as", name, "--into", "m", "--hub", "h"])
    assert ended.value.code == 2
    assert "is no name of a folder" in capsys.readouterr().err


def test_components_are_given_by_their_options() -> None:
    request = parsed(
        ["x", "--as", "n", "--into", "m", "--hub", "h", "--vae", "/v", "--text-encoder-2", "/t", "--replace"]
    )
    assert request.swaps == {"vae": Path("/v"), "text_encoder_2": Path("/t")}
    assert request.into == Path.cwd() / "m"
    assert request.replace


def test_a_terminal_sees_a_bar_that_moves_with_the_bytes() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with shown(console) as stages:
        stages.begin("asking", None)
        stages.begin("hashing", 2000)
        report(1000)
    report(1000)
    text = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    assert "asking" in text
    assert "1.0/2.0 kB" in text


def test_anything_else_gets_a_line_for_each_stage() -> None:
    console = Console(file=io.StringIO(), width=40)
    with shown(console) as stages:
        stages.begin("a stage of [many] words that would not fit on one line of forty", 2_500_000_000)
        report(1000)
    text = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    assert text == "a stage of [many] words that would not fit on one line of forty (2.50 GB)\n"
