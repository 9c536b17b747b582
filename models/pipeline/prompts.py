"""The prompts of a request: how each is read, and how both come to one length."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from models.errors import UnsupportedInput
from models.pipeline.components import Components, TextFeatures
from models.pipeline.reading import NO_EMBEDDINGS, Embeddings, Reading
from models.pipeline.request import DrawRequest
from models.text.emphasis import sections
from models.text.inversion import Embedding

Encode = Callable[[str, int, Reading], TextFeatures]
"""A prompt, its length in tokens where the family has one for all, and how it is read, to features."""


def reading_of(request: DrawRequest, embeddings: Embeddings = NO_EMBEDDINGS) -> Reading:
    """How a request wants its prompt read.

    Args:
        request: what to draw.
        embeddings: the learnt words that there are; the request names those that it may use.

    Raises:
        UnsupportedInput: one that it names is not there, or two have one trigger.
    """
    found: dict[str, Embedding] = {}
    for name in dict.fromkeys(request.embeddings):
        embedding = embeddings.get(name)
        if embedding is None:
            raise UnsupportedInput(f"embeddings: there is no embedding {name!r} beside this network")
        if found.setdefault(embedding.trigger.lower(), embedding) is not embedding:
            raise UnsupportedInput(f"embeddings: two of them have the trigger {embedding.trigger!r}")
    return Reading(request.prompt_syntax, request.clip_skip, tuple(found.values()))


def negative_reading(reading: Reading) -> Reading:
    """How the negative prompt is read: Diffusers leaves out no more layers than the network for it, AUTOMATIC1111 as many."""
    return reading if reading.syntax == "a1111" else replace(reading, clip_skip=0)


def check_prompts(components: Components, request: DrawRequest, embeddings: Embeddings = NO_EMBEDDINGS) -> None:
    """Refuse prompts that cannot be read as the request says. Weights are not looked at.

    Raises:
        UnsupportedInput: names the field, the value and the limit.
    """
    reading = reading_of(request, embeddings)
    components.check_reading(reading)
    if reading.syntax == "a1111":
        for text in (request.prompt, request.negative_prompt or ""):
            sections(text)


def alike(
    one: TextFeatures, other: TextFeatures, empty: Callable[[], TextFeatures]
) -> tuple[TextFeatures, TextFeatures]:
    """Two prompts in as many chunks: the shorter one is followed by the features of the empty prompt.

    Args:
        one: features of whole chunks.
        other: likewise.
        empty: returns the features of the empty prompt, one chunk.
    """
    lengths = [len(one.tokens_LC), len(other.tokens_LC)]
    if lengths[0] == lengths[1]:
        return one, other
    return _filled(one, max(lengths), empty()), _filled(other, max(lengths), empty())


def _filled(text: TextFeatures, length: int, empty: TextFeatures) -> TextFeatures:
    missing = (length - len(text.tokens_LC)) // len(empty.tokens_LC)
    chunks: Sequence[torch.Tensor] = [text.tokens_LC, *[empty.tokens_LC] * missing]
    return text._replace(tokens_LC=torch.cat(list(chunks)))
