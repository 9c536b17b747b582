"""One picture alone, from its prompt: Diffusers and this project by turns, same folder, dtype, steps and threads.

`python -m tests.benchmarks.bench_images [--sizes T M] [--dtypes float32 bfloat16] [--threads N] [--rounds N]`

Also what is left to gain: the floor is every linear layer and every attention of a step, alone, at its shape, over and over.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from models.flow.transformer import Transformer
from models.host_memory import keep_freed_memory
from models.pipeline.components import Components
from models.pipeline.conditions import start
from models.pipeline.denoising import StepInput, predict
from models.pipeline.drawing import draw, encode_request
from models.pipeline.request import request_for
from tests.benchmarks.rounds import CLOCKS, by_turns, median_ms, ratio, spread
from tests.benchmarks.sizes import FAMILIES, SIZES, Both, Size, both

PROMPT = "a red apple on a blue background"


def main() -> None:
    asked = _arguments()
    keep_freed_memory()
    torch.set_num_threads(asked.threads)
    table = Table("size", "family", "dtype", "Diffusers ms", "ours ms", "ratio", "middle half", "floor / step")
    with tempfile.TemporaryDirectory() as root:
        for size in asked.sizes:
            for dtype in asked.dtypes:
                for family in asked.families:
                    pair = both(Path(root), SIZES[size], family, getattr(torch, dtype))
                    table.add_row(size, family, dtype, *_measured(pair, asked.rounds, CLOCKS[asked.clock]))
    Console(width=120).print(
        table, f"torch {torch.__version__}, {asked.threads} threads, {asked.rounds} rounds, {asked.clock} clock"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    return parser.parse_args()


def _measured(pair: Both, rounds: int, clock: Callable[[], float]) -> tuple[str, ...]:
    sides = {"Diffusers": theirs(pair), "ours": ours(pair), **_step_and_floor(pair.ours, pair.size)}
    seconds = by_turns(sides, rounds, clock)
    floor = f"{1 / ratio(seconds, 'step', 'floor'):.2f}"
    times = (f"{median_ms(seconds, name):.1f}" for name in ("Diffusers", "ours"))
    return (*times, f"{ratio(seconds, 'Diffusers', 'ours'):.2f}", spread(seconds, "Diffusers", "ours"), floor)


def theirs(pair: Both, prompts: Sequence[str] = (PROMPT,)) -> Callable[[], object]:
    """Diffusers draws a picture of every prompt."""
    size = pair.size
    asked: dict[str, Any] = {
        "num_inference_steps": size.num_steps,
        "width": size.side,
        "height": size.side,
        "max_sequence_length": size.text_length,
    }
    if pair.family == "FLUX.2":
        asked["text_encoder_out_layers"] = pair.ours.defaults.text_encoder_out_layers
    return lambda: pair.oracle(prompt=list(prompts), generator=torch.Generator().manual_seed(0), **asked)


def ours(pair: Both) -> Callable[[], object]:
    """This project draws the same."""
    return lambda: draw(pair.ours, request_for(pair.ours.defaults, PROMPT, **request_of(pair.size)))


def request_of(size: Size, seed: int = 0) -> dict[str, Any]:
    """Arguments of request_for."""
    return {
        "seed": seed,
        "num_steps": size.num_steps,
        "width": size.side,
        "height": size.side,
        "max_sequence_length": size.text_length,
    }


def begun(components: Components, **asked: Any) -> StepInput:
    """A row before its first step."""
    request = request_for(components.defaults, PROMPT, **asked)
    first = start(components, request, *encode_request(components, request))
    return StepInput(first.latents_LC, first.conditions, 0)


def _step_and_floor(components: Components, size: Size) -> dict[str, Callable[[], object]]:
    row = begun(components, **request_of(size))
    network: Transformer = components.transformer  # pyright: ignore[reportAttributeAccessIssue] (both families have one)
    work = _products(network, lambda: predict(components, [row]), size)
    return {"step": lambda: predict(components, [row]), "floor": lambda: [one() for one in work]}


def _products(network: Transformer, step: Callable[[], object], size: Size) -> list[Callable[[], Tensor]]:
    """Every linear layer that a step calls, with what it is given, and its attentions."""
    calls: list[tuple[nn.Linear, Tensor]] = []

    def seen(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.Linear)
        calls.append((layer, given[0].clone()))

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(seen) for layer in layers]
    step()
    for hook in hooks:
        hook.remove()
    length = size.image_tokens + size.text_length
    q_BNLD = torch.randn(1, length, size.num_heads, size.head_dim, dtype=calls[0][1].dtype).transpose(1, 2)
    attention = lambda: functional.scaled_dot_product_attention(q_BNLD, q_BNLD, q_BNLD)  # noqa: E731 - one of many
    products = [lambda call=call: functional.linear(call[1], call[0].weight.data, _bias(call[0])) for call in calls]
    return products + [attention] * (size.num_double + size.num_single)


def _bias(layer: nn.Linear) -> Tensor | None:
    return None if layer.bias is None else layer.bias.data  # pyright: ignore[reportUnnecessaryComparison] (None without bias)


if __name__ == "__main__":
    main()
