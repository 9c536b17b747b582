"""Eight clients of the whole service, over HTTP, against Diffusers drawing the same pictures one after another in this process.

`python -m tests.benchmarks.bench_service [--what T M nano] [--pictures N] [--rounds N] [--threads N]`

Each client submits (`Prefer: wait`), fetches the picture and begins again. T and M are the FLUX.2 networks of bench_images under
flux-nano's name; nano is the bundled network, with its own steps and guidance. Both sides by turns; the service stands still meanwhile.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench_images import PROMPT
from tests.benchmarks.rounds import by_turns, median_ms, ratio, spread
from tests.benchmarks.sizes import SIZES, Size, both
from tests.e2e.running_service import RunningService

NUM_CLIENTS = 8
BUNDLED = Path("models/bundled/flux-nano")
NANO_PROMPT = "a red apple on a blue background"
WITHIN_S = 120.0


@dataclass(frozen=True)
class Drawn:
    """What both sides draw: a folder, the request's fields and Diffusers' arguments."""

    folder: Path
    prompt: str
    sent: dict[str, Any]
    asked: dict[str, Any]


def main() -> None:
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    table = Table("network", "Diffusers ms a picture", "service ms a picture", "ratio", "middle half")
    with tempfile.TemporaryDirectory() as root:
        for name in asked.what:
            drawn = _bundled() if name == "nano" else _random(Path(root), SIZES[name])
            with _service(Path(root) / f"data-{name}", drawn.folder, asked.threads) as service:
                sides = {"Diffusers": _theirs(drawn, asked.pictures), "service": _ours(service, drawn, asked.pictures)}
                seconds = by_turns(sides, asked.rounds)
            times = (f"{median_ms(seconds, side) / asked.pictures:.0f}" for side in sides)
            pace = f"{ratio(seconds, 'Diffusers', 'service'):.2f}"
            table.add_row(name, *times, pace, spread(seconds, "Diffusers", "service"))
    what = f"{asked.threads} threads, {asked.rounds} rounds of {asked.pictures} pictures, {NUM_CLIENTS} clients"
    Console(width=120).print(table, f"torch {torch.__version__}, {what}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--what", nargs="+", default=[*SIZES, "nano"])
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _random(root: Path, size: Size) -> Drawn:
    """Random weights of a size, without guidance; generation.json says how long texts are, so that both read the same number."""
    folder = root / f"FLUX.2-{size.name}"
    both(root, size, "FLUX.2", torch.float32)
    defaults = json.loads((folder / "generation.json").read_text())
    sent = {"steps": size.num_steps, "guidance": 1.0, "width": size.side, "height": size.side}
    text = {
        "max_sequence_length": size.text_length,
        "text_encoder_out_layers": tuple(defaults["text_encoder_out_layers"]),
    }
    (folder / "generation.json").write_text(json.dumps({**defaults, "max_sequence_length": size.text_length}))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "is_distilled": False}))
    drawn = {"num_inference_steps": size.num_steps, "guidance_scale": 1.0, "width": size.side, "height": size.side}
    return Drawn(folder, PROMPT, sent, {**drawn, **text})


def _bundled() -> Drawn:
    defaults = json.loads((BUNDLED / "generation.json").read_text())
    names = ("num_inference_steps", "guidance_scale", "max_sequence_length", "width", "height")
    layers = {"text_encoder_out_layers": tuple(defaults["text_encoder_out_layers"])}
    return Drawn(BUNDLED, NANO_PROMPT, {}, {**{name: defaults[name] for name in names}, **layers})


def _theirs(drawn: Drawn, pictures: int) -> Callable[[], object]:
    pipeline: Any = Flux2KleinPipeline.from_pretrained(drawn.folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)

    def run() -> None:
        for seed in range(pictures):
            pipeline(prompt=drawn.prompt, generator=torch.Generator().manual_seed(seed), **drawn.asked)

    return run


def _ours(service: RunningService, drawn: Drawn, pictures: int) -> Callable[[], object]:
    headers = {**service.headers, "prefer": f"wait={WITHIN_S / 2:.0f}"}

    def one(client: httpx.Client, seed: int) -> None:
        body = {"prompt": drawn.prompt, "seed": seed, **drawn.sent}
        answer = client.post(f"{service.url}/v1/flux-nano", json=body, headers=headers)
        client.get(answer.json()["result"]["sample"]).raise_for_status()

    def run() -> None:
        clients = [httpx.Client(timeout=WITHIN_S, trust_env=False) for _ in range(NUM_CLIENTS)]
        with ThreadPoolExecutor(NUM_CLIENTS) as pool:
            waiting = [
                pool.submit(_closed_loop, client, one, range(n, pictures, NUM_CLIENTS))
                for n, client in enumerate(clients)
            ]
            for client_done in waiting:
                client_done.result()
        for client in clients:
            client.close()

    return run


def _closed_loop(client: httpx.Client, one: Callable[[httpx.Client, int], None], seeds: range) -> None:
    for seed in seeds:
        one(client, seed)


@contextmanager
def _service(data_dir: Path, folder: Path, threads: int) -> Iterator[RunningService]:
    models = data_dir / "weights"
    shutil.copytree(folder, models / "flux-nano")
    service = RunningService(data_dir, DARKROOM_MODELS_DIR=str(models), OMP_NUM_THREADS=str(threads))
    service.start()
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


if __name__ == "__main__":
    main()
