"""One picture from its request, all stages in a row. An engine interleaves the steps of many instead."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.images import to_image, to_uint8
from models.latents import latent_grid
from models.pipeline.components import Components, TextFeatures
from models.pipeline.conditions import start
from models.pipeline.controls import NO_CONTROLS, Controls, check_controls
from models.pipeline.denoising import StepInput, advance
from models.pipeline.image_prompts import ImagePrompter, with_image_prompts
from models.pipeline.request import DrawRequest, check_request, guidance_plan


def encode_request(
    components: Components,
    request: DrawRequest,
    prompter: ImagePrompter | None = None,
    encode: Callable[[str, int], TextFeatures] | None = None,
) -> tuple[TextFeatures, TextFeatures | None]:
    """Turn the prompts of a request into features.

    Args:
        components: of a network.
        request: checked.
        prompter: reads its picture prompts.
        encode: components.encode_text, or what remembers its results.

    Returns:
        Features of the prompt, and of the negative prompt when the guidance plan has one.
    """
    encode = encode or components.encode_text
    length = request.max_sequence_length or components.defaults.max_sequence_length
    text = with_image_prompts(
        encode(request.prompt, length), request.inputs.image_prompts, prompter, request.image_prompt_strength
    )
    plan = guidance_plan(components.spec, request)
    if plan.negative_prompt is None:
        return text, None
    if components.spec.text.zeroes_missing_negative and request.negative_prompt is None:
        return text, text.zeros()
    return text, encode(plan.negative_prompt, length)


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
    prompter: ImagePrompter | None = None,
    after_step: Callable[[int, int], None] | None = None,
    controls: Controls = NO_CONTROLS,
) -> Image.Image:
    """Draw one picture.

    Args:
        components: of a network.
        request: what to draw.
        prompter: reads picture prompts, where the network takes them.
        after_step: called with the steps done and the steps in all.
        controls: the ControlNets that the request names, perhaps beside others.

    Raises:
        SamplingError: the request cannot be served, or the networks produced no finite picture.
    """
    check_request(components.spec, request)
    check_controls(components, request, controls)
    begun = start(components, request, *encode_request(components, request, prompter), controls)
    latents_LC, num_steps = begun.latents_LC, begun.conditions.num_steps
    for step in range(num_steps):
        (latents_LC,) = advance(components, [StepInput(latents_LC, begun.conditions, step)])
        if after_step is not None:
            after_step(step + 1, num_steps)
    return to_image(decode(components, latents_LC, request.width, request.height))
