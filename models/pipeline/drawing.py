"""One picture from its request, all stages in a row. An engine interleaves the steps of many instead."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.images import to_image, to_uint8
from models.latents import latent_grid
from models.pipeline.components import Components
from models.pipeline.conditions import start
from models.pipeline.controls import NO_CONTROLS, Controls, check_controls
from models.pipeline.denoising import StepInput, advance
from models.pipeline.image_prompts import NO_PROMPTERS, ImagePrompter, Prompters, Prompts, prompter_of
from models.pipeline.prompts import Encode, alike, check_prompts, negative_reading, reading_of
from models.pipeline.reading import NO_EMBEDDINGS, Embeddings
from models.pipeline.request import DrawRequest, check_request, guidance_plan


def encode_request(
    components: Components,
    request: DrawRequest,
    prompter: ImagePrompter | None = None,
    encode: Encode | None = None,
    embeddings: Embeddings = NO_EMBEDDINGS,
) -> Prompts:
    """Turn the prompts of a request into features.

    Args:
        components: of a network.
        request: checked.
        prompter: reads its picture prompts, which it has none of otherwise.
        encode: components.encode_text, or what remembers its results.
        embeddings: learnt words that it names, perhaps beside others.
    """
    encode = encode or components.encode_text
    length = request.max_sequence_length or components.defaults.max_sequence_length
    reading, plan = reading_of(request, embeddings), guidance_plan(components.spec, request)
    text = encode(request.prompt, length, reading)
    if plan.negative_prompt is None:
        prompts = Prompts(text, None)
    elif components.spec.text.zeroes_missing_negative and request.negative_prompt is None:
        prompts = Prompts(text, text.zeros())
    else:
        opposite = negative_reading(reading)
        negative = encode(plan.negative_prompt, length, opposite)
        prompts = Prompts(*alike(text, negative, lambda: encode("", length, opposite)))
    images = request.inputs.image_prompts
    if prompter is None or not images:
        return prompts
    return prompter.prompted(prompts, images, request.image_prompt_strength)


def decode(components: Components, latents_LC: Tensor, width: int, height: int) -> NDArray[np.uint8]:
    """Turn latents at time 0 into RGB pixels, H x W x 3, on the host.

    Raises:
        NonFiniteImage: the networks produced NaN or infinity.
    """
    rows, columns = latent_grid(width, height, components.pixels_per_position)
    return to_uint8(components.decode(latents_LC, rows, columns))


def draw(
    components: Components,
    request: DrawRequest,
    prompters: Prompters = NO_PROMPTERS,
    after_step: Callable[[int, int], None] | None = None,
    controls: Controls = NO_CONTROLS,
    embeddings: Embeddings = NO_EMBEDDINGS,
) -> Image.Image:
    """Draw one picture.

    Args:
        components: of a network.
        request: what to draw.
        prompters: what reads picture prompts, the one that the request needs perhaps beside others.
        after_step: called with the steps done and the steps in all.
        controls: the ControlNets that the request names, perhaps beside others.
        embeddings: the learnt words that it names, perhaps beside others.

    Raises:
        SamplingError: the request cannot be served, or the networks produced no finite picture.
    """
    check_request(components.spec, request)
    check_prompts(components, request, embeddings)
    check_controls(components, request, controls)
    prompter = prompter_of(components, request, prompters)
    prompts = encode_request(components, request, prompter, embeddings=embeddings)
    begun = start(components, request, *prompts, controls)
    latents_LC, num_steps = begun.latents_LC, begun.conditions.num_steps
    for step in range(num_steps):
        (latents_LC,) = advance(components, [StepInput(latents_LC, begun.conditions, step)])
        if after_step is not None:
            after_step(step + 1, num_steps)
    return to_image(decode(components, latents_LC, request.width, request.height))
