"""How far loading has come: whoever waits for networks can watch the bytes go by, without every loader handing a callback on."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Report = Callable[[int], None]
"""Takes the number of bytes that were just read from a file of weights."""


def _unwatched(_num_bytes: int) -> None:
    return None


_watcher: ContextVar[Report] = ContextVar("_watcher", default=_unwatched)


@contextmanager
def watched(report: Report) -> Generator[None]:
    """Call `report` for every tensor that this thread loads in the meantime."""
    token = _watcher.set(report)
    try:
        yield
    finally:
        _watcher.reset(token)


def report(num_bytes: int) -> None:
    """Say that a tensor of so many bytes was loaded."""
    _watcher.get()(num_bytes)


def weight_bytes(folder: Path) -> int:
    """Bytes of all weights in a pipeline's folder: what loading it whole reports in the end, or somewhat more."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
