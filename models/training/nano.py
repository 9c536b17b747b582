"""flux-nano from nothing: `python -m models.training.nano --stage STAGE --cache DIR --work DIR`. Every stage resumes where it was.

fetch         the pictures and their names, as packages (needs npm and a registry)
autoencoder   trains the decoder behind the encoder's fixed code
latents       encodes the vocabulary
transformer   trains transformer and text encoder on the latents; needs no decoder, so both can run side by side
export        writes the folder --out in Diffusers' layout
evaluate      draws 24 prompts with it, counts what is right, and writes a sheet of them
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from transformers import Qwen3Config

from models.checkpoints.files import TensorFiles, write_tensors
from models.pipeline.drawing import draw
from models.pipeline.loading import load_components
from models.pipeline.request import request_for
from models.text.tokenizers import ChatTokenizer
from models.training.autoencoder import decoder_loss, draw_pictures, measure_statistics
from models.training.composition import all_captions
from models.training.errors import MissingStage
from models.training.evaluation import draw_prompts, is_right, sheet
from models.training.export import Defaults, export, text_encoder_config
from models.training.latents import all_pictures, all_row_captions, encode_all
from models.training.loop import Loop, LossOf
from models.training.optimisers import split_optimisers
from models.training.pictures import fetch, load_pictures
from models.training.prompted import CaptionedLatents, PromptedFlow, batch_loss
from models.training.recipe import (
    AUTOENCODER,
    AUTOENCODER_RUN,
    DROP_CAPTION,
    GUIDANCE,
    NUM_STEPS,
    NUM_TOKENS,
    OUT_LAYERS,
    SHIFT,
    SIDE,
    TEXT_SIZE,
    TRANSFORMER,
    TRANSFORMER_RUN,
    VOCABULARY_SIZE,
    Run,
)
from models.training.schedule import Budget
from models.training.tokenizer import train_tokenizer, vocabulary_of
from models.training.vocabulary import COLOURS, OBJECTS
from models.training.warm_start import start_as_blurry_copy
from models.vae.autoencoder_flux2 import AutoencoderFlux2

SAVE_EVERY = 50
NUM_PROMPTS = 24


@dataclass(frozen=True)
class Job:
    """Where a stage finds and leaves its files, and how long it may train (None: as the recipe says)."""

    cache: Path
    work: Path
    out: Path
    minutes: float | None
    console: Console

    def state(self, stage: str) -> Path:
        """The checkpoint of a stage."""
        return self.work / f"{stage}.safetensors"

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer."""
        return self.work / "tokenizer"

    def result_of(self, stage: str) -> Path:
        """The checkpoint of a stage that has to have run before."""
        if not self.state(stage).exists():
            raise MissingStage(f"{self.state(stage)} is not there: run --stage {stage} first")
        return self.state(stage)


def fetch_stage(job: Job) -> None:
    """Bring the pictures here."""
    fetch(job.cache)


def tokenizer_stage(job: Job) -> None:
    """Learn the vocabulary of all captions."""
    train_tokenizer(all_captions(OBJECTS), VOCABULARY_SIZE, job.tokenizer)


def autoencoder_stage(job: Job) -> None:
    """Train the decoder."""
    cutouts = load_pictures(job.cache, OBJECTS)
    network = _new_autoencoder()
    measure_statistics(network, list(all_pictures(cutouts, SIDE)))
    drawn = list(cutouts.values())
    optimiser = torch.optim.AdamW(
        network.decoder.parameters(), lr=AUTOENCODER_RUN.other_rate, betas=(0.9, 0.95), weight_decay=0.0
    )

    def loss_of(rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        return decoder_loss(network, draw_pictures(drawn, AUTOENCODER_RUN.batch_size, SIDE, rng), generator)

    _train(job, "autoencoder", _loop(job, network, [optimiser], AUTOENCODER_RUN), loss_of)


def latents_stage(job: Job) -> None:
    """Encode the vocabulary. The encoder is fixed, so the autoencoder's first checkpoint serves as well as its last."""
    latents_NLC = encode_all(_trained_autoencoder(job), load_pictures(job.cache, OBJECTS), SIDE)
    write_tensors(job.state("latents"), {"latents": latents_NLC})


def transformer_stage(job: Job) -> None:
    """Train transformer and text encoder together on the latents."""
    network = _new_flow(job)
    stored = job.result_of("latents")
    latents_NLC = TensorFiles.of_component(stored.parent, stored.stem).read("latents")
    rows, tokenizer = all_row_captions(OBJECTS), ChatTokenizer(job.tokenizer)
    data = CaptionedLatents(latents_NLC, rows, tokenizer, num_tokens=NUM_TOKENS, drop_caption=DROP_CAPTION)
    optimisers = split_optimisers(
        network, matrix_rate=TRANSFORMER_RUN.matrix_rate, other_rate=TRANSFORMER_RUN.other_rate
    )

    def loss_of(_rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        return batch_loss(network, data, TRANSFORMER_RUN.batch_size, math.log(SHIFT), generator)

    _train(job, "transformer", _loop(job, network, optimisers, TRANSFORMER_RUN), loss_of)


def export_stage(job: Job) -> None:
    """Write the averaged weights as a folder."""
    flow = _new_flow(job)
    loop = _loop(job, flow, [], TRANSFORMER_RUN)
    loop.load(job.result_of("transformer"))
    loop.ema.copy_to(flow)
    defaults = Defaults(num_inference_steps=NUM_STEPS, guidance_scale=GUIDANCE, side=SIDE, shift=SHIFT)
    export(job.out, flow, _trained_autoencoder(job), job.tokenizer, _text_config(job), NUM_TOKENS, defaults)
    job.console.print(f"{job.out}: transformer after {loop.step} steps")


def evaluate_stage(job: Job) -> None:
    """Draw prompts that a fixed seed chooses, count what is right, and leave a sheet of the pictures."""
    components = load_components(job.out)
    cutouts = load_pictures(job.cache, OBJECTS)
    asked = draw_prompts(OBJECTS, list(COLOURS), NUM_PROMPTS, seed=0)
    requests = [request_for(components.defaults, one.prompt, seed=number) for number, one in enumerate(asked)]
    drawn = [np.asarray(draw(components, request)) for request in requests]
    scores = [is_right(pixels, one, cutouts) for pixels, one in zip(drawn, asked, strict=True)]
    for one, (background, found) in zip(asked, scores, strict=True):
        job.console.print(f"{one.prompt}: background {_mark(background)}, object {_mark(found)}")
    backgrounds, objects = (sum(part) for part in zip(*scores, strict=True))
    job.console.print(f"background right {backgrounds} of {len(asked)}, object right {objects} of {len(asked)}")
    sheet(drawn).save(job.work / "sheet.png")


def _mark(is_it: bool) -> str:
    return "right" if is_it else "wrong"


def _loop(job: Job, network: nn.Module, optimisers: Sequence[torch.optim.Optimizer], run: Run) -> Loop:
    return Loop(
        network,
        optimisers,
        Budget(seconds=60 * (run.minutes if job.minutes is None else job.minutes)),
        seed=run.seed,
        ema_decay=run.ema_decay,
        warmup_steps=run.warmup_steps,
        hold=run.hold,
    )


def _train(job: Job, stage: str, loop: Loop, loss_of: LossOf) -> None:
    """Run until the budget is spent, from the last checkpoint on."""
    if job.state(stage).exists():
        loop.load(job.state(stage))
    recent: list[float] = []
    while loop.progress < 1:
        recent.append(loop.advance(loss_of, time.monotonic))
        if loop.step % SAVE_EVERY == 0:
            loop.save(job.state(stage))
            mean = sum(recent) / len(recent)
            job.console.print(
                f"{stage} step {loop.step} after {loop.elapsed_s:.0f} s: loss {mean:.4f}", highlight=False
            )
            recent.clear()
    loop.save(job.state(stage))


def _new_autoencoder() -> AutoencoderFlux2:
    torch.default_generator.manual_seed(0)
    network = AutoencoderFlux2(AUTOENCODER)
    start_as_blurry_copy(network)
    network.encoder.requires_grad_(False)
    return network


def _trained_autoencoder(job: Job) -> AutoencoderFlux2:
    network = _new_autoencoder()
    loop = _loop(job, network, [], AUTOENCODER_RUN)
    loop.load(job.result_of("autoencoder"))
    loop.ema.copy_to(network)
    return network


def _text_config(job: Job) -> Qwen3Config:
    if not job.tokenizer.is_dir():
        raise MissingStage(f"{job.tokenizer} is not there: run --stage tokenizer first")
    return text_encoder_config(vocabulary_of(job.tokenizer), hidden_size=TEXT_SIZE, num_layers=max(OUT_LAYERS))


def _new_flow(job: Job) -> PromptedFlow:
    torch.default_generator.manual_seed(0)
    return PromptedFlow(TRANSFORMER, _text_config(job), OUT_LAYERS)


STAGES: dict[str, Callable[[Job], None]] = {
    "fetch": fetch_stage,
    "tokenizer": tokenizer_stage,
    "autoencoder": autoencoder_stage,
    "latents": latents_stage,
    "transformer": transformer_stage,
    "export": export_stage,
    "evaluate": evaluate_stage,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one stage."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.nano", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="folder of the fetched packages")
    parser.add_argument("--work", type=Path, required=True, help="folder of checkpoints, latents and sheets")
    parser.add_argument("--out", type=Path, default=Path("models/bundled/flux-nano"), help="folder to export to")
    parser.add_argument("--minutes", type=float, default=None, help="training time of the stage, all sessions together")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads of torch")
    options = parser.parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    STAGES[options.stage](Job(options.cache, options.work, options.out, options.minutes, Console()))


if __name__ == "__main__":
    main()
