"""A worker's process: reads settings, loads weights, serves until SIGTERM."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

import structlog
import torch

from app.core.clock import SystemClock
from app.core.config import Settings, WorkerSettings, load_settings
from app.core.errors import ConfigurationError
from app.core.logging import configure_logging
from models.host_memory import keep_freed_memory
from models.pipeline.loading import DTYPES
from workers.networks import BUNDLED, LoadedNetworks, load_networks
from workers.weights import fetch_weights
from workers.worker import Worker

LOOK_S = 1.0

log = structlog.stdlib.get_logger()


def run(data_dir: Path | None, place: Mapping[str, int]) -> None:
    """Serve; ends the process with its exit code. `place`: what `index` and `num_beside` are, where not what the settings say."""
    try:
        settings = load_settings(**({} if data_dir is None else {"data_dir": data_dir}), worker=dict(place))
    except ConfigurationError as error:
        sys.exit(f"python -m workers: {error}")
    if settings.weights:
        # Before anything watches how long loading takes: what comes from far away may take an hour.
        configure_logging(settings.log)
        fetch_weights(settings)
    serve(settings, lambda: _load(settings))


def serve(settings: Settings, load: Callable[[], LoadedNetworks]) -> None:
    """Serve what `load` brings, in the thread that owns the device; ends the process with its exit code."""
    keep_freed_memory()
    configure_logging(settings.log)
    threading.excepthook = _log_uncaught
    worker = Worker(settings, load, SystemClock())
    _drain_on_signals(worker)
    worker.start()
    if settings.redis.url:
        # The main thread is RQ's until a signal comes; a worker that ends by itself does not wait for one.
        threading.Thread(target=_leave_at_end, args=[worker], name="end", daemon=True).start()
        _ring_for_tickets(worker, settings)
    _leave_at_end(worker)


def _ring_for_tickets(worker: Worker, settings: Settings) -> None:
    """Ring for each ticket from Redis once the weights are loaded, until a signal comes; then drain."""
    # Here, because RQ is loaded only where it is used.
    from workers.tickets import ring_for_tickets

    def pause(seconds: float) -> bool:
        _drain_on_signals(worker)
        worker.join(seconds)
        return worker.is_ending

    while not worker.wait_until_loaded(LOOK_S):
        if worker.is_ending:
            return
    try:
        ring_for_tickets(settings.redis, settings.worker.pool, worker.ring, pause)
    except SystemExit:
        os._exit(1)  # RQ's answer to a second signal
    _drain(worker)


def _leave_at_end(worker: Worker) -> None:
    while not worker.join(timeout_s=60.0):
        pass
    _leave(worker)


def _load(settings: Settings) -> LoadedNetworks:
    """In the thread that owns the device."""
    num_threads = threads_of(settings.worker, torch.get_num_threads())
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    dtype = None if settings.worker.dtype is None else DTYPES[settings.worker.dtype]
    device = torch.device(device_name(settings.worker, torch.cuda.device_count()))
    return load_networks((BUNDLED, settings.models_dir), device, dtype, settings.worker.weights_bytes)


def device_name(worker: WorkerSettings, num_gpus: int) -> str:
    """`auto` is the GPU of this worker's number, in turn where there are fewer, and the CPU where there is none; anything else is
    torch's own name."""
    if worker.device != "auto":
        return worker.device
    return f"cuda:{worker.index % num_gpus}" if num_gpus else "cpu"


def threads_of(worker: WorkerSettings, num_threads: int) -> int | None:
    """What the operator says, else an even share of the threads that torch would take; None leaves the choice to torch."""
    if worker.threads is not None or worker.num_beside == 1:
        return worker.threads
    return max(1, num_threads // worker.num_beside)


def _drain_on_signals(worker: Worker) -> None:
    """The first SIGTERM or SIGINT drains, the second ends the process at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        _drain(worker)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, on_signal)


def _drain(worker: Worker) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: os._exit(1))
    worker.drain()


def _log_uncaught(failure: threading.ExceptHookArgs) -> None:
    """An error that nothing here is made for ends its thread, and with it the worker."""
    name = failure.thread.name if failure.thread is not None else "?"
    log.critical("thread died", thread=name, exc_info=failure.exc_value)


def _leave(worker: Worker) -> None:
    """End without the interpreter's own clearing up: everything is closed, torch takes seconds to be torn down, and an
    engine in the middle of a long step is not waited for."""
    worker.join_engine()
    logging.shutdown()
    os._exit(worker.exit_code)
