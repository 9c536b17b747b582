"""From a prompt to a picture, stage by stage, as plain functions over loaded components.

models.render strings the stages together; a serving engine interleaves the steps of many pictures. Every stage is a pure
function: nothing here remembers a request. The results equal those of Diffusers' Flux2KleinPipeline for the same seed, dtype
and folder, which is why latents and times are rounded to the networks' dtype where it rounds them.

Shape suffixes: B = rows, L = tokens (of latents or of text), C = channels, H, W = rows and columns, 4 = position axes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.checkpoints.autoencoder import load_autoencoder
from models.checkpoints.files import fingerprint
from models.checkpoints.flux2 import load_transformer
from models.checkpoints.folder import Folder, read_folder
from models.checkpoints.qwen3 import load_text_encoder
from models.errors import MalformedConfig
from models.flow.flux2 import Flux2
from models.images import to_image, to_uint8
from models.latents import image_ids, latent_grid, packed, text_ids, unpacked
from models.noise import initial_noise as drawn_noise
from models.samplers.guidance import classifier_free
from models.samplers.loop import sample
from models.samplers.schedules import FlowSchedule, flow_times
from models.specs import GenerationDefaults, Guidance, ModelSpec
from models.text.qwen3 import Qwen3Encoder
from models.text.tokenizers import ChatTokenizer, Tokens
from models.vae.autoencoder import Autoencoder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Components:
    """Everything that turns prompts into pictures. Immutable: requests share it.

    Attributes:
        spec: what is known of the network.
        transformer: predicts velocities.
        autoencoder: turns latents into pictures.
        text_encoder: turns tokens into features.
        tokenizer: turns prompts into tokens.
        schedule: how times are shifted.
        defaults: what a request that leaves something out gets.
        revision: changes when any file of the folder does.
        device: where the networks live.
        dtype: in which they run.
    """

    spec: ModelSpec
    transformer: Flux2
    autoencoder: Autoencoder
    text_encoder: Qwen3Encoder
    tokenizer: ChatTokenizer
    schedule: FlowSchedule
    defaults: GenerationDefaults
    revision: str
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class DenoiseInput:
    """One row of a denoise step.

    Attributes:
        latents_LC: latents at time t.
        ids_L4: their positions.
        context_LC: features of the prompt.
        negative_context_LC: features of the negative prompt, where needs_negative says so.
        t: time, in (0, 1].
        guidance: guidance strength.
    """

    latents_LC: Tensor
    ids_L4: Tensor
    context_LC: Tensor
    negative_context_LC: Tensor | None
    t: float
    guidance: float


def load_components(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Components:
    """Load a folder in Diffusers' layout (model_index.json names a Flux2KleinPipeline).

    Args:
        path: the folder.
        device: where the networks shall live.
        dtype: in which they shall run; None takes generation.json's, else the family's.

    Raises:
        CheckpointError: something is missing, malformed, or does not fit; the message names the file.
        UnsupportedSampler: the folder's scheduler is not known.
    """
    folder = read_folder(path)
    device = torch.device(device)
    dtype = DTYPES[folder.defaults.dtype] if dtype is None else dtype
    components = Components(
        spec=folder.spec,
        transformer=load_transformer(path / "transformer", device, dtype),
        autoencoder=load_autoencoder(path / "vae", device, dtype),
        text_encoder=load_text_encoder(path / "text_encoder", folder.defaults.text_encoder_out_layers, device, dtype),
        tokenizer=ChatTokenizer(path / "tokenizer"),
        schedule=folder.schedule,
        defaults=folder.defaults,
        revision=fingerprint(path),
        device=device,
        dtype=dtype,
    )
    _check_fit(folder, components)
    return components


def _check_fit(folder: Folder, components: Components) -> None:
    """The components of a folder belong together."""
    params = components.transformer.params
    pairs = {
        "transformer/joint_attention_dim and text features": (
            params.context_in_dim,
            components.text_encoder.num_features,
        ),
        "transformer/in_channels and latent channels": (
            params.in_channels,
            components.autoencoder.params.latent_channels,
        ),
        "guidance_embeds and the pipeline's guidance": (
            params.guidance_embed,
            components.spec.guidance is Guidance.EMBEDDED,
        ),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise MalformedConfig(f"{folder.path}: {what} do not fit: {one} and {other}")


@torch.no_grad()
def encode_prompts(components: Components, prompts: Sequence[str]) -> list[Tensor]:
    """Turn prompts into text features, each independent of the others.

    Args:
        components: of a network.
        prompts: any text; the empty one is a valid negative prompt.

    Returns:
        For each prompt, max_sequence_length x features, in the networks' dtype, on their device.
    """
    return [_encoded(components, prompt) for prompt in prompts]


def _encoded(components: Components, prompt: str) -> Tensor:
    tokens = components.tokenizer([prompt], components.defaults.max_sequence_length)
    features_BLC: Tensor = components.text_encoder(Tokens(*(part.to(components.device) for part in tokens)))
    return features_BLC[0]


def initial_noise(components: Components, width: int, height: int, seed: int) -> Tensor:
    """Draw a picture's initial latents from its seed, L x C, in the networks' dtype, on their device.

    Raises:
        UnsupportedSize: width or height is no positive multiple of the autoencoder's patch.
    """
    rows, columns = _grid(components, width, height)
    channels = components.transformer.params.in_channels
    noise_BCHW = drawn_noise(channels, rows, columns, seed, components.dtype)
    return packed(noise_BCHW)[0].to(components.device)


def position_ids(components: Components, width: int, height: int) -> Tensor:
    """Return the positions of a picture's latents, L x 4, on the networks' device."""
    return image_ids(*_grid(components, width, height)).to(components.device)


def schedule(components: Components, width: int, height: int, num_steps: int) -> Tensor:
    """Return the num_steps + 1 times that a picture of this size passes, falling from 1 to 0; float32 on the CPU."""
    rows, columns = _grid(components, width, height)
    return flow_times(components.schedule, rows * columns, num_steps)


def _grid(components: Components, width: int, height: int) -> tuple[int, int]:
    return latent_grid(width, height, components.autoencoder.params.pixels_per_position)


def needs_negative(components: Components, guidance: float) -> bool:
    """Whether a step at this guidance strength reads the negative prompt, and so takes a second forward."""
    return components.spec.guidance is Guidance.CLASSIFIER_FREE and guidance > 1


@torch.no_grad()
def predict(components: Components, rows: Sequence[DenoiseInput]) -> list[Tensor]:
    """Predict the velocity of every row; a row does not depend on its neighbours.

    Args:
        components: of a network.
        rows: each at its own time, size and guidance.

    Returns:
        For each row dx/dt, L x C, in the networks' dtype. models.samplers.euler.step moves latents along it.
    """
    return [_predicted(components, row) for row in rows]


def _predicted(components: Components, row: DenoiseInput) -> Tensor:
    positive_LC = _velocity(components, row, row.context_LC)
    if not needs_negative(components, row.guidance):
        return positive_LC
    if row.negative_context_LC is None:
        raise ValueError(f"guidance {row.guidance} needs the features of a negative prompt")
    return classifier_free(positive_LC, _velocity(components, row, row.negative_context_LC), row.guidance)


def _velocity(components: Components, row: DenoiseInput, context_LC: Tensor) -> Tensor:
    dtype, device = components.dtype, components.device
    # Diffusers hands on 1000 t in the latents' dtype and divides again: bfloat16 networks see rounded times.
    times_B = (torch.tensor([row.t], dtype=torch.float32) * 1000).to(dtype).to(device) / 1000
    is_embedded = components.spec.guidance is Guidance.EMBEDDED
    velocity_BLC: Tensor = components.transformer(
        row.latents_LC[None].to(dtype),
        row.ids_L4[None],
        times_B,
        context_LC[None],
        text_ids(context_LC.shape[0])[None].to(device),
        torch.tensor([row.guidance], dtype=dtype, device=device) if is_embedded else None,
    )
    return velocity_BLC[0]


@torch.no_grad()
def decode(components: Components, latents_LC: Tensor, width: int, height: int) -> NDArray[np.uint8]:
    """Turn latents at time 0 into RGB pixels, H x W x 3, on the host.

    Raises:
        NonFiniteImage: the networks produced NaN or infinity.
    """
    rows, columns = _grid(components, width, height)
    latent_BCHW = unpacked(latents_LC[None].to(components.dtype), rows, columns)
    return to_uint8(components.autoencoder.decode(latent_BCHW)[0])


def render(
    components: Components,
    prompt: str,
    *,
    negative_prompt: str = "",
    seed: int = 0,
    num_steps: int | None = None,
    width: int | None = None,
    height: int | None = None,
    guidance: float | None = None,
    after_step: Callable[[int, int], None] | None = None,
) -> Image.Image:
    """Draw one picture.

    Args:
        components: of a network.
        prompt: what to draw.
        negative_prompt: what to steer away from; read when needs_negative says so.
        seed: of the initial noise.
        num_steps: denoise steps; None, here and below, takes the folder's default.
        width: pixels.
        height: pixels.
        guidance: guidance strength.
        after_step: called with the steps done and the steps in all.

    Raises:
        SamplingError: the request cannot be served, or the networks produced no finite picture.
    """
    defaults = components.defaults
    width, height = width or defaults.width, height or defaults.height
    num_steps = num_steps or defaults.num_inference_steps
    guidance = defaults.guidance_scale if guidance is None else guidance
    ids_L4 = position_ids(components, width, height)
    (context_LC,) = encode_prompts(components, [prompt])
    negative_LC = encode_prompts(components, [negative_prompt])[0] if needs_negative(components, guidance) else None

    def velocity(x_BLC: Tensor, t_B: Tensor) -> Tensor:
        row = DenoiseInput(x_BLC[0], ids_L4, context_LC, negative_LC, float(t_B[0]), guidance)
        return predict(components, [row])[0][None]

    latents_BLC = sample(
        velocity,
        initial_noise(components, width, height, seed)[None],
        schedule(components, width, height, num_steps),
        None if after_step is None else lambda done: after_step(done, num_steps),
    )
    return to_image(decode(components, latents_BLC[0], width, height))
