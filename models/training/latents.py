"""Every object on every background as latents, made once: the flow model trains on nothing else."""

from collections.abc import Iterator, Mapping

import torch
from PIL import Image
from torch import Tensor

from models.latents import packed
from models.training.autoencoder import to_tensor
from models.training.composition import OBJECT_FILL, Placement, captions, compose
from models.training.vocabulary import COLOURS
from models.vae.autoencoder_flux2 import AutoencoderFlux2


def all_pictures(cutouts: Mapping[str, Image.Image], side: int) -> Iterator[Tensor]:
    """Yield, object by object, its pictures on every background, B C H W."""
    for cutout in cutouts.values():
        yield to_tensor([compose(cutout, colour, side, Placement(OBJECT_FILL)) for colour in COLOURS.values()])


def all_row_captions(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the captions of those pictures, in the same order."""
    return [captions(name, colour) for name in names for colour in COLOURS]


@torch.no_grad()
def encode_all(autoencoder: AutoencoderFlux2, cutouts: Mapping[str, Image.Image], side: int) -> Tensor:
    """Return the latents of those pictures, pictures x positions x channels."""
    return torch.cat(
        [packed(autoencoder.encode(image_BCHW)) for image_BCHW in all_pictures(cutouts, side)]
    ).contiguous()
