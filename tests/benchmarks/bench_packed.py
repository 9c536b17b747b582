"""Rows in one forward against the same rows one after another, by turns: steps of networks, without servers.

`python -m tests.benchmarks.bench_packed [--sizes T M] [--dtypes float32 bfloat16] [--threads N] [--rounds N]`

equal: eight rows of one size. mixed: eight rows of four sizes, steps, text lengths. pictures: eight whole pictures drawn together,
against Diffusers drawing one after another, and all eight prompts as one batch.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from models.host_memory import keep_freed_memory
from models.pipeline.components import Components
from models.pipeline.denoising import StepInput, advance, predict
from models.pipeline.drawing import decode
from tests.benchmarks.bench_images import PROMPT, begun, request_of, theirs
from tests.benchmarks.rounds import CLOCKS, by_turns, median_ms, ratio, spread
from tests.benchmarks.sizes import FAMILIES, SIZES, Both, Size, both

NUM_ROWS = 8


def main() -> None:
    asked = _arguments()
    keep_freed_memory()
    torch.set_num_threads(asked.threads)
    table = Table("size", "family", "dtype", "what", "one by one ms", "together ms", "ratio", "middle half")
    with tempfile.TemporaryDirectory() as root:
        for size in asked.sizes:
            for dtype in asked.dtypes:
                for family in asked.families:
                    pair = both(Path(root), SIZES[size], family, getattr(torch, dtype))
                    for what in asked.what:
                        sides = WHAT[what](pair)
                        seconds = by_turns(sides, asked.rounds, CLOCKS[asked.clock])
                        times = (f"{median_ms(seconds, name):.1f}" for name in ("one by one", "together"))
                        pace = f"{ratio(seconds, 'one by one', 'together'):.2f}"
                        table.add_row(
                            size, family, dtype, what, *times, pace, spread(seconds, "one by one", "together")
                        )
    Console(width=120).print(
        table, f"torch {torch.__version__}, {asked.threads} threads, {asked.rounds} rounds, {asked.clock} clock"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--what", nargs="+", default=list(WHAT))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    return parser.parse_args()


def equal(pair: Both) -> dict[str, Callable[[], object]]:
    """Eight rows of one size, each at its own step."""
    rows = [begun(pair.ours, **request_of(pair.size, seed)) for seed in range(NUM_ROWS)]
    return _steps(pair.ours, [replace(row, step=index % pair.size.num_steps) for index, row in enumerate(rows)])


def mixed(pair: Both) -> dict[str, Callable[[], object]]:
    """Eight rows of four sizes and two text lengths, each at its own step."""
    rows = [begun(pair.ours, **_changed(pair.size, seed)) for seed in range(NUM_ROWS)]
    return _steps(pair.ours, [replace(row, step=index % pair.size.num_steps) for index, row in enumerate(rows)])


def _changed(size: Size, seed: int) -> dict[str, Any]:
    width, height = [
        (size.side, size.side),
        (size.side, size.side // 2),
        (size.side // 2, size.side // 2),
        (size.side, 96),
    ][seed % 4]
    length = size.text_length if seed % 2 else size.text_length // 2
    return request_of(size, seed) | {"width": width, "height": height, "max_sequence_length": length}


def _steps(components: Components, rows: Sequence[StepInput]) -> dict[str, Callable[[], object]]:
    return {
        "one by one": lambda: [predict(components, [row]) for row in rows],
        "together": lambda: predict(components, rows),
    }


def pictures(pair: Both) -> dict[str, Callable[[], object]]:
    """Eight pictures against Diffusers one after another."""
    alone = theirs(pair)
    return {"one by one": lambda: [alone() for _ in range(NUM_ROWS)], "together": lambda: drawn_together(pair)}


def batch(pair: Both) -> dict[str, Callable[[], object]]:
    """Eight pictures against Diffusers' own batch of eight prompts, which must all begin at once and be of one size."""
    alone = theirs(pair, [PROMPT] * NUM_ROWS)
    return {"one by one": alone, "together": lambda: drawn_together(pair)}


def drawn_together(pair: Both) -> None:
    """Eight pictures from prompt to pixels, one forward a step."""
    size = pair.size
    rows = [begun(pair.ours, **request_of(size, seed)) for seed in range(NUM_ROWS)]
    for step in range(size.num_steps):
        moved = advance(pair.ours, [replace(row, step=step) for row in rows])
        rows = [replace(row, latents_LC=latents_LC) for row, latents_LC in zip(rows, moved, strict=True)]
    for row in rows:
        decode(pair.ours, row.latents_LC, size.side, size.side)


WHAT: dict[str, Callable[[Both], dict[str, Callable[[], object]]]] = {
    "equal": equal,
    "mixed": mixed,
    "pictures": pictures,
    "batch": batch,
}


if __name__ == "__main__":
    main()
