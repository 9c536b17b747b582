"""Pictures from the command line, without the service: python -m models.render --weights DIR --prompt P --out x.png."""

import argparse
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, get_args

import torch
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from models.checkpoints.embedding_folder import load_embedding
from models.checkpoints.loading import watched, weight_bytes
from models.errors import ModelError, UnsupportedInput
from models.images import upright
from models.noise import MAX_SEED
from models.pipeline.components import Components
from models.pipeline.drawing import draw
from models.pipeline.guiding import Guiding, RuleName
from models.pipeline.image_prompts import NO_PROMPTERS, Prompters
from models.pipeline.loading import DTYPES, MemoryPlan, load_components, load_prompter
from models.pipeline.reading import PromptSyntax
from models.pipeline.request import DrawRequest, EdgeThresholds, Margins, PictureInputs, request_for
from models.pipeline.roles import natural_size, with_roles

GIVEN = "given"
"""What reads picture prompts, by the only name that it has here."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class Arguments(NamedTuple):
    """The command line. None takes the folder's own default."""

    weights: Path
    image_prompter: Path | None
    image_prompt_strength: float
    prompt: str
    negative_prompt: str | None
    prompt_syntax: PromptSyntax
    clip_skip: int
    guidance_rule: RuleName
    guidance_rescale: float
    pag_scale: float
    pag_layer: list[str]
    embedding: list[Path]
    out: Path
    image: list[Path]
    mask: Path | None
    strength: float | None
    control: Path | None
    edges: EdgeThresholds
    margins: Margins | None
    seed: int
    steps: int | None
    width: int | None
    height: int | None
    guidance: float | None
    true_cfg_scale: float
    max_sequence_length: int | None
    dtype: str | None
    device: str
    query_chunk: int | None


def main(argv: Sequence[str] | None = None) -> int:
    """Render one picture; returns the exit status."""
    arguments = parsed(argv)
    console = Console(stderr=True)
    try:
        device, dtype = _device(arguments.device), DTYPES[arguments.dtype] if arguments.dtype else None
        with _loading(console, arguments):
            memory = MemoryPlan(query_chunk=arguments.query_chunk)
            components = load_components(arguments.weights, device, dtype, memory)
            prompters = NO_PROMPTERS
            if arguments.image_prompter:
                prompters = {GIVEN: load_prompter(arguments.image_prompter, device, components.dtype)}
        _render(components, prompters, arguments, console)
    except (ModelError, OSError, torch.OutOfMemoryError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def parsed(argv: Sequence[str] | None = None) -> Arguments:
    """Read the command line; ends the process with a message when it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m models.render", description="Pictures, without the service.")
    parser.add_argument("--weights", type=Path, required=True, help="folder in Diffusers' layout (model_index.json)")
    parser.add_argument("--prompt", default="", help="what to draw")
    parser.add_argument("--negative-prompt", help="read when the guidance is above 1, or with --true-cfg-scale")
    _add_reading(parser)
    parser.add_argument("--out", type=_picture_path, required=True, help=f"file to write: {', '.join(SUFFIXES)}")
    _add_pictures(parser)
    parser.add_argument("--seed", type=_whole(0, MAX_SEED), default=0)
    parser.add_argument("--steps", type=_whole(1, 1000), help="default: generation.json's, as below")
    parser.add_argument(
        "--width", type=_whole(1, 8192), help="pixels; default: the first picture's, else the network's"
    )
    parser.add_argument("--height", type=_whole(1, 8192), help="pixels")
    parser.add_argument("--guidance", type=float)
    parser.add_argument(
        "--true-cfg-scale", type=float, default=1.0, help="FLUX.1: a second forward for the negative prompt"
    )
    parser.add_argument(
        "--max-sequence-length", type=_whole(1, 512), help="tokens of the prompt (schnell 256, others 512)"
    )
    parser.add_argument("--dtype", choices=sorted(DTYPES))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--query-chunk", type=_whole(1, 1 << 20), help="queries that attend at a time, to save memory")
    _add_guidance(parser)
    return Arguments(**vars(parser.parse_args(argv)))


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prompt-syntax",
        choices=("plain", "a1111"),
        default="plain",
        help="Stable Diffusion: a1111 reads (emphasis:1.3) and prompts of any length",
    )
    parser.add_argument(
        "--clip-skip", type=_whole(0, 31), default=0, help="Stable Diffusion: layers of the text encoders left out"
    )
    parser.add_argument(
        "--embedding",
        type=Path,
        action="append",
        default=[],
        help="repeatable: folder of a textual inversion as an import makes it",
    )


def _add_guidance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--guidance-rule", choices=get_args(RuleName), default="cfg", help="against the negative prompt"
    )
    parser.add_argument(
        "--guidance-rescale", type=float, default=0.0, help="0 to 1: against colours that are too strong"
    )
    parser.add_argument(
        "--pag-scale", type=float, default=0.0, help="Stable Diffusion: perturbed attention; 3 is usual"
    )
    parser.add_argument(
        "--pag-layer", action="append", default=[], help='repeatable: a block to perturb; default: "mid"'
    )


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image",
        type=Path,
        action="append",
        default=[],
        help="repeatable: the picture to change (with --mask, --margins or --strength, and for networks that fill), then "
        "references; edges to follow; with --image-prompter pictures in the place of words",
    )
    parser.add_argument("--mask", type=Path, help="white where the first --image is to change")
    parser.add_argument(
        "--strength", type=float, help="how much of the first --image is drawn anew, above 0 and at most 1"
    )
    parser.add_argument("--control", type=Path, help="edges or depth, ready to be followed")
    parser.add_argument(
        "--edges", type=_edges, default=EdgeThresholds(), help="thresholds LOW,HIGH of edges in --image"
    )
    parser.add_argument("--margins", type=_margins, help="extend the first --image by TOP,BOTTOM,LEFT,RIGHT pixels")
    parser.add_argument(
        "--image-prompter",
        "--redux",
        type=Path,
        help="folder of FLUX.1 Redux, or of an IP-Adapter as an import makes it",
    )
    parser.add_argument(
        "--image-prompt-strength", type=float, default=1.0, help="weight of the pictures that it reads, 0 to 1"
    )


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {lowest} to {highest}")
        return int(text)

    return whole


def _wholes(text: str, count: int) -> list[int]:
    parts = text.split(",")
    if len(parts) != count or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not {count} whole numbers with commas between them")
    return [int(part) for part in parts]


def _edges(text: str) -> EdgeThresholds:
    return EdgeThresholds(*_wholes(text, 2))


def _margins(text: str) -> Margins:
    return Margins(*_wholes(text, 4))


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


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return upright(image)
    except (UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnsupportedInput(f"{path} is no picture that can be read: {error}") from error


def _request(components: Components, arguments: Arguments) -> DrawRequest:
    inputs = with_roles(
        components.spec,
        PictureInputs(
            mask=None if arguments.mask is None else _opened(arguments.mask),
            margins=arguments.margins,
            control=None if arguments.control is None else _opened(arguments.control),
            edges=arguments.edges,
        ),
        [_opened(path) for path in arguments.image],
        starts_from_image=arguments.strength is not None,
        has_prompter=arguments.image_prompter is not None,
    )
    width, height = natural_size(components.spec, inputs, components.pixels_per_position) or (None, None)
    return request_for(
        components.defaults,
        arguments.prompt,
        negative_prompt=arguments.negative_prompt,
        prompt_syntax=arguments.prompt_syntax,
        clip_skip=arguments.clip_skip,
        guiding=Guiding(
            arguments.guidance_rule,
            rescale=arguments.guidance_rescale,
            pag_scale=arguments.pag_scale,
            pag_layers=tuple(arguments.pag_layer) or ("mid",),
        ),
        embeddings=tuple(map(str, arguments.embedding)),
        seed=arguments.seed,
        width=arguments.width or width,
        height=arguments.height or height,
        num_steps=arguments.steps,
        guidance=arguments.guidance,
        true_cfg_scale=arguments.true_cfg_scale,
        strength=arguments.strength,
        max_sequence_length=arguments.max_sequence_length,
        image_prompter=None if arguments.image_prompter is None else GIVEN,
        image_prompt_strength=arguments.image_prompt_strength,
        inputs=inputs,
    )


def _render(components: Components, prompters: Prompters, arguments: Arguments, console: Console) -> None:
    request = _request(components, arguments)
    with _progress(console) as after_step:
        embeddings = {str(folder): load_embedding(folder, components.device) for folder in arguments.embedding}
        image = draw(components, request, prompters, after_step, embeddings=embeddings)
    image.save(arguments.out)
    console.print(f"{arguments.out}: {image.width} x {image.height}", highlight=False, markup=False)


@contextmanager
def _loading(console: Console, arguments: Arguments) -> Generator[None]:
    folders = [folder for folder in (arguments.weights, arguments.image_prompter) if folder is not None]
    columns = TextColumn("loading"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("loading", total=sum(weight_bytes(folder) for folder in folders))
        with watched(lambda num_bytes: progress.advance(task, num_bytes)):
            yield


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
