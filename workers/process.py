"""A worker's process: reads settings, loads weights, serves until SIGTERM."""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import structlog
import torch

from app.core.clock import SystemClock
from app.core.config import Settings, load_settings
from app.core.errors import ConfigurationError
from app.core.logging import configure_logging
from models.pipeline.loading import DTYPES
from workers.networks import BUNDLED, LoadedNetworks, load_networks
from workers.worker import Worker

log = structlog.stdlib.get_logger()


def run(data_dir: Path | None) -> None:
    """Serve; ends the process with its exit code."""
    try:
        settings = load_settings(**({} if data_dir is None else {"data_dir": data_dir}))
    except ConfigurationError as error:
        sys.exit(f"python -m workers: {error}")
    configure_logging(settings.log)
    threading.excepthook = _log_uncaught
    worker = Worker(settings, lambda: _load(settings), SystemClock())
    _drain_on_signals(worker)
    worker.start()
    while not worker.join(timeout_s=60.0):
        pass
    _leave(worker)


def _load(settings: Settings) -> LoadedNetworks:
    """In the thread that owns the device."""
    if settings.worker.threads is not None:
        torch.set_num_threads(settings.worker.threads)
    dtype = None if settings.worker.dtype is None else DTYPES[settings.worker.dtype]
    return load_networks((BUNDLED, settings.models_dir), _device(settings.worker.device), dtype)


def _device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one; anything else is torch's own name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def _drain_on_signals(worker: Worker) -> None:
    """The first SIGTERM or SIGINT drains, the second ends the process at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda number, frame: os._exit(1))
        worker.drain()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, on_signal)


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
