"""Text to image from the command line, without the service: python -m models.render --weights DIR --prompt P --out x.png."""

import argparse
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from models.errors import ModelError
from models.noise import MAX_SEED
from models.pipeline import DTYPES, Components, load_components, render

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class Arguments(NamedTuple):
    """The command line. None takes the folder's own default."""

    weights: Path
    prompt: str
    negative_prompt: str
    out: Path
    seed: int
    steps: int | None
    width: int | None
    height: int | None
    guidance: float | None
    dtype: str | None
    device: str


def main(argv: Sequence[str] | None = None) -> int:
    """Render one picture; returns the exit status."""
    arguments = parsed(argv)
    console = Console(stderr=True)
    try:
        with console.status("loading"):
            components = load_components(
                arguments.weights, _device(arguments.device), DTYPES[arguments.dtype] if arguments.dtype else None
            )
        _render(components, arguments, console)
    except (ModelError, OSError, torch.OutOfMemoryError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def parsed(argv: Sequence[str] | None = None) -> Arguments:
    """Read the command line; ends the process with a message when it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m models.render", description="Text to image, without the service.")
    parser.add_argument("--weights", type=Path, required=True, help="folder in Diffusers' layout (model_index.json)")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--negative-prompt", default="", help="read when the guidance is above 1")
    parser.add_argument("--out", type=_picture_path, required=True, help=f"file to write: {', '.join(SUFFIXES)}")
    parser.add_argument("--seed", type=_whole(0, MAX_SEED), default=0)
    parser.add_argument("--steps", type=_whole(1, 1000), help="default: generation.json's, as below")
    parser.add_argument("--width", type=_whole(1, 8192), help="pixels")
    parser.add_argument("--height", type=_whole(1, 8192), help="pixels")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--dtype", choices=sorted(DTYPES))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    return Arguments(**vars(parser.parse_args(argv)))


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {lowest} to {highest}")
        return int(text)

    return whole


def _picture_path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} ends in none of {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.absolute().parent}")
    return path


def _device(name: str) -> torch.device:
    if name != "auto":
        try:
            return torch.zeros(0, device=name).device
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"device {name!r} cannot be used: {error}") from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _render(components: Components, arguments: Arguments, console: Console) -> None:
    with _progress(console) as after_step:
        image = render(
            components,
            arguments.prompt,
            negative_prompt=arguments.negative_prompt,
            seed=arguments.seed,
            num_steps=arguments.steps,
            width=arguments.width,
            height=arguments.height,
            guidance=arguments.guidance,
            after_step=after_step,
        )
    image.save(arguments.out)
    console.print(f"{arguments.out}: {image.width} x {image.height}", highlight=False, markup=False)


@contextmanager
def _progress(console: Console) -> Generator[Callable[[int, int], None]]:
    columns = TextColumn("drawing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("drawing", total=None)

        def after_step(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield after_step


if __name__ == "__main__":
    sys.exit(main())
