"""What an import says while it runs: a line for each stage, and on a terminal a bar for those that go through many bytes."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from models.checkpoints.loading import watched


class Stages(Protocol):
    """Where stages of work are shown."""

    def begin(self, what: str, num_bytes: int | None) -> None:
        """Another stage, in words, and how many bytes it will go through, if that is known."""
        ...


class Lines:
    """A line for each stage."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, what: str, num_bytes: int | None) -> None:
        size = "" if num_bytes is None else f" ({num_bytes / 1e9:.2f} GB)"
        self._console.print(f"{what}{size}", markup=False, highlight=False, soft_wrap=True)


class Bars:
    """A bar for the stage that is under way, when its size is known; else a line, which leaves the terminal to others."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None

    def begin(self, what: str, num_bytes: int | None) -> None:
        self.end()
        if num_bytes is None:
            Lines(self._console).begin(what, None)
            return
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        self._bar = Progress(*columns, console=self._console)
        self._bar.add_task(what, total=num_bytes)
        self._bar.start()

    def advance(self, num_bytes: int) -> None:
        """Bytes that were read or written."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], num_bytes)

    def end(self) -> None:
        """Leave the terminal as it is to be."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = None


@contextmanager
def shown(console: Console) -> Generator[Stages]:
    """Show the stages of an import; what is read and written meanwhile moves the bar."""
    if not console.is_terminal:
        yield Lines(console)
        return
    bars = Bars(console)
    try:
        with watched(bars.advance):
            yield bars
    finally:
        bars.end()
