"""`darkroom up`: the whole service on this machine. It prepares the data directory, then supervises a gateway and workers.

`up` itself listens on the port and hands the socket down, so that a gateway that restarts refuses nobody.
"""

import asyncio
import os
import signal
import socket
from typing import Annotated

import httpx
import typer

from app.cli import data_dir as files
from app.cli.database import bring_up_to_date
from app.cli.first_account import ensure_local_key
from app.cli.listener import bound_address, listening, own_url
from app.cli.options import DataDir, given
from app.cli.processes import gateway_argv, keep_to_own_packages, worker_argv
from app.cli.terminal import say
from app.cli.welcome import welcome
from app.core.clock import SystemClock
from app.core.config import Settings, load_settings
from app.supervisor import Command, RestartPolicy, Supervisor

EXIT_GRACE_S = 10.0
READY_POLL_S = 0.2


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 picks a free one.", show_default="8000", min=0, max=65535)
    ] = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int | None, typer.Option(help="Workers to run, one per GPU.", show_default="1", min=1, max=256)
    ] = None,
) -> None:
    """Start the whole service on this machine: a gateway and its workers, restarted when they die."""
    own = given(num_beside=workers)
    settings = load_settings(**given(data_dir=data_dir), gateway=given(host=host, port=port), worker=own)
    with files.locked(settings.data_dir), listening(settings.gateway.host, settings.gateway.port) as listener:
        bring_up_to_date(settings.database.url)
        key = asyncio.run(ensure_local_key(settings, SystemClock()))
        url = own_url(listener)
        if not (settings.public_url or settings.gateway.trusted_proxies or bound_address(listener).is_loopback):
            say(f"Links in answers will begin with {url}; set DARKROOM_PUBLIC_URL to the address that clients use.")
        with files.announced(settings.data_dir, url):
            asyncio.run(supervise(settings, listener, url, key))


async def supervise(settings: Settings, listener: socket.socket, url: str, key: str) -> None:
    """Runs the children until a signal or their own failure ends them."""
    keep_to_own_packages()
    # This process alone holds the writing end, so its end, of whatever kind, closes it; the children read and see that.
    parent_pipe, life_line = os.pipe()
    supervisor = Supervisor(children(settings, listener, parent_pipe), say=say, new_policy=RestartPolicy)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    announcing = asyncio.create_task(announce(settings, url, key))
    try:
        await supervisor.run()
    finally:
        announcing.cancel()
        os.close(life_line)
        os.close(parent_pipe)


def children(settings: Settings, listener: socket.socket, parent_pipe: int) -> tuple[Command, ...]:
    """In the order in which they end: polls are answered until the workers have finished."""
    num_workers = settings.worker.num_beside
    workers = [
        Command(
            "worker" if num_workers == 1 else f"worker {index}",
            worker_argv(settings.data_dir, parent_pipe, index, num_workers),
            (parent_pipe,),
            stop_within_s=settings.worker.drain_s + EXIT_GRACE_S,
            ends_with="workers",
        )
        for index in range(num_workers)
    ]
    gateway = Command(
        "gateway",
        gateway_argv(settings.data_dir, settings.gateway.host, listener, parent_pipe),
        (listener.fileno(), parent_pipe),
        stop_within_s=EXIT_GRACE_S,
    )
    return (*workers, gateway)


async def announce(settings: Settings, url: str, key: str) -> None:
    """Says once how to use the service, when it can be used."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        while not await is_ready(http):  # noqa: ASYNC110 - readiness is another process's and sets no event here
            await asyncio.sleep(READY_POLL_S)
    typer.echo(welcome(url, key, settings.data_dir))


async def is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).is_success
    except httpx.TransportError:
        return False
