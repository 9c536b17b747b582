"""`darkroom generate`: a picture through the service, over HTTP, as any other client would."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from app.cli import data_dir as files
from app.cli.options import DataDir, Size, given, parse_size
from app.cli.terminal import CommandError, say
from app.client import Client, Order, Picture
from app.core.config import load_settings

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


def generate(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it: .png, .jpg or .webp.", dir_okay=False)],
    model: Annotated[str, typer.Option(help="Public name of the model.")] = "flux-nano",
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same picture.", min=0)] = None,
    size: Annotated[Size | None, typer.Option(parser=parse_size, metavar="WxH", help="Pixels; N for a square.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps, where the model lets you choose.", min=1)] = None,
    url: Annotated[str | None, typer.Option(help="Address of the service. Default: the one on --data-dir.")] = None,
    key: Annotated[str | None, typer.Option(help="API key. Default: the local key of --data-dir.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Draw a picture with a running service."""
    width, height = (size.width, size.height) if size else (None, None)
    order = Order(model, prompt, seed, width, height, steps, _format_of(out))
    home = load_settings(**given(data_dir=data_dir)).data_dir
    with Client(url or files.service_url(home), key or _local_key(home)) as client:
        picture = _draw(client, order)
    out.write_bytes(picture.data)
    say(f"{out}: {model}, seed {picture.seed}")


def _draw(client: Client, order: Order) -> Picture:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(order.model, total=1.0)
        submitted = client.submit(order)
        for done in client.follow(submitted):
            progress.update(bar, completed=done)
        return client.fetch(submitted)


def _format_of(out: Path) -> str:
    try:
        return FORMATS[out.suffix.lower()]
    except KeyError:
        raise CommandError(
            f"cannot tell a picture's format from {out.name!r}; end it in {', '.join(FORMATS)}"
        ) from None


def _local_key(home: Path) -> str:
    key = files.local_key(home)
    if key is None:
        raise CommandError(f"there is no local key in {home}; give --key")
    return key
