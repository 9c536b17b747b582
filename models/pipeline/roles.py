"""What a list of pictures means to a network, where nobody said: the picture to change, references, edges, or prompts."""

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from models.errors import UnsupportedInput
from models.pipeline.pictures import masked, reference_size
from models.pipeline.request import PictureInputs
from models.specs import Channels, ModelSpec

MAX_NATURAL_PIXELS = 2048 * 2048


def with_roles(
    spec: ModelSpec,
    inputs: PictureInputs,
    images: Sequence[Image.Image],
    *,
    starts_from_image: bool = False,
    has_prompter: bool = False,
) -> PictureInputs:
    """Give pictures their roles.

    Args:
        spec: of the network.
        inputs: mask, margins and control, as given.
        images: in order; the first is the picture to change when there is a mask, margins, or starts_from_image, or when the
            network fills pictures.
        starts_from_image: whether the picture is to be drawn from the first of them.
        has_prompter: whether pictures can stand for words here.

    Raises:
        UnsupportedInput: the network has no use for so many pictures.
    """
    if not images:
        return inputs
    if spec.channels is Channels.CONTROL:
        return replace(inputs, control_source=_single(spec, images))
    is_changed = inputs.mask is not None or inputs.margins is not None or starts_from_image
    if spec.channels is Channels.MASKED_IMAGE or is_changed:
        inputs, images = replace(inputs, image=images[0]), images[1:]
    elif not spec.references.most and not has_prompter:
        return replace(inputs, image=_single(spec, images))
    if has_prompter:
        return replace(inputs, image_prompts=tuple(images))
    return replace(inputs, references=tuple(images))


def _single(spec: ModelSpec, images: Sequence[Image.Image]) -> Image.Image:
    if len(images) > 1:
        raise UnsupportedInput(f"image: {len(images)} pictures are given; {spec.name} takes one")
    return images[0]


def natural_size(spec: ModelSpec, inputs: PictureInputs, multiple: int) -> tuple[int, int] | None:
    """Return width and height that suit the pictures of a request, multiples of `multiple`; None when there are none.

    The picture to change keeps its size, an edited one is drawn at the size at which the first reference is read.
    """
    source = masked(inputs)
    picture = source.image if source is not None else inputs.control or inputs.control_source
    if picture is not None:
        size = picture.width // multiple * multiple, picture.height // multiple * multiple
        is_fine = min(size) >= multiple and size[0] * size[1] <= MAX_NATURAL_PIXELS
        return size if is_fine else None
    return reference_size(inputs.references[0], spec.references, multiple) if inputs.references else None
