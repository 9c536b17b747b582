"""`darkroom gateway` and `darkroom worker`: one process of the service each, for a fleet; `up` starts the same two."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from app.cli.listener import bound_address
from app.cli.options import DataDir, given
from app.cli.terminal import CommandError
from app.core.config import Settings, load_settings
from app.core.parent_pipe import exit_with_parent

FROM_UP = typer.Option(hidden=True)
PACKAGES = Path(__file__).parents[2]


def gateway(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=0, max=65535)] = None,
    data_dir: DataDir = None,
    await_worker: Annotated[bool, FROM_UP] = False,
    on_loopback: Annotated[bool, FROM_UP] = False,
    listen_fd: Annotated[int | None, FROM_UP] = None,
    parent_pipe: Annotated[int | None, FROM_UP] = None,
) -> None:
    """Run a gateway. Many may share one database; none of them needs a GPU."""
    if parent_pipe is not None:
        exit_with_parent(parent_pipe)
    # Here, because every other command would start a third slower for it.
    from app.lifespan import StartupError
    from app.main import serve

    chosen = given(host=host, port=port, await_worker=await_worker or None)
    settings = load_settings(**given(data_dir=data_dir), gateway=chosen)
    if on_loopback:
        settings = open_to_anybody(settings)
    try:
        serve(settings, listener=None if listen_fd is None else socket.socket(fileno=listen_fd))
    except StartupError as error:
        raise CommandError(str(error)) from error


def open_to_anybody(settings: Settings) -> Settings:
    """Callers without a key are this machine's users, unless the operator says no or has the service face the world."""
    faces_the_world = settings.public_url is not None or bool(settings.gateway.trusted_proxies)
    if settings.free.anonymous is not None or faces_the_world:
        return settings
    return settings.model_copy(update={"free": settings.free.model_copy(update={"anonymous": True})})


def worker(
    data_dir: DataDir = None,
    index: Annotated[
        int | None, typer.Option(help="Number among this machine's workers: the GPU that it takes.", min=0)
    ] = None,
    num_beside: Annotated[int | None, typer.Option(help="Workers on this machine.", min=1, max=256)] = None,
) -> NoReturn:
    """Run a worker: one per GPU, or one on the CPU. It becomes `python -m workers`."""
    arguments = [sys.executable, "-m", "workers"]
    for name, value in (("--data-dir", data_dir), ("--index", index), ("--num-beside", num_beside)):
        arguments += [] if value is None else [name, str(value)]
    keep_to_own_packages()
    os.execv(sys.executable, arguments)


def gateway_argv(data_dir: Path, host: str, listener: socket.socket, parent_pipe: int) -> tuple[str, ...]:
    """The gateway as a child of `up`, on a socket that `up` listens on."""
    port = listener.getsockname()[1]
    own: tuple[str, ...] = (
        "gateway",
        "--data-dir",
        str(data_dir),
        "--host",
        host,
        "--port",
        str(port),
        "--await-worker",
    )
    if bound_address(listener).is_loopback:
        own = (*own, "--on-loopback")
    inherited = ("--listen-fd", str(listener.fileno()), "--parent-pipe", str(parent_pipe))
    return (sys.executable, "-m", "app.cli", *own, *inherited)


def worker_argv(data_dir: Path, parent_pipe: int, index: int, num_beside: int) -> tuple[str, ...]:
    """A worker as a child of `up`, that number of so many."""
    place = () if num_beside == 1 else ("--index", str(index), "--num-beside", str(num_beside))
    inherited = ("--parent-pipe", str(parent_pipe))
    return (sys.executable, "-m", "workers", "--data-dir", str(data_dir), *place, *inherited)


def keep_to_own_packages() -> None:
    """`python -m` looks where the user stands first; a folder named app or workers there is not ours."""
    if Path.cwd() != PACKAGES:
        os.putenv("PYTHONSAFEPATH", "1")
