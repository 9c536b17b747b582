"""A list of pictures gets its roles from what the network takes and from what else is asked."""

import pytest
from PIL import Image

from models.errors import UnsupportedInput
from models.pipeline.request import Margins, PictureInputs
from models.pipeline.roles import natural_size, with_roles
from models.specs import ModelSpec, spec_named

ONE, TWO = Image.new("RGB", (100, 64)), Image.new("RGB", (64, 64))
MASK = Image.new("L", (100, 64))


def named(name: str) -> ModelSpec:
    spec = spec_named(name)
    assert spec is not None
    return spec


def test_networks_that_read_references_get_them_in_order() -> None:
    assert with_roles(named("flux-2-klein-4b"), PictureInputs(), [ONE, TWO]).references == (ONE, TWO)


def test_the_first_picture_is_changed_where_a_mask_margins_or_a_strength_ask_for_it() -> None:
    spec = named("flux-2-klein-4b")
    for inputs in (PictureInputs(mask=MASK), PictureInputs(margins=Margins(top=16))):
        given = with_roles(spec, inputs, [ONE, TWO])
        assert (given.image, given.references) == (ONE, (TWO,))
    assert with_roles(spec, PictureInputs(), [ONE], starts_from_image=True).image is ONE


def test_other_networks_use_their_one_picture_their_own_way() -> None:
    assert with_roles(named("flux-fill-dev"), PictureInputs(), [ONE]).image is ONE
    assert with_roles(named("flux-canny-dev"), PictureInputs(), [ONE]).control_source is ONE
    assert with_roles(named("flux-dev"), PictureInputs(), [ONE]).image is ONE
    assert with_roles(named("flux-dev"), PictureInputs(), [ONE, TWO], has_prompter=True).image_prompts == (ONE, TWO)
    with pytest.raises(UnsupportedInput, match="2 pictures are given; flux-dev takes one"):
        with_roles(named("flux-dev"), PictureInputs(), [ONE, TWO])


def test_the_natural_size_is_the_pictures_in_whole_patches() -> None:
    spec = named("flux-2-klein-4b")
    assert natural_size(spec, PictureInputs(), 16) is None
    assert natural_size(spec, PictureInputs(references=(ONE, TWO)), 16) == (96, 64)
    assert natural_size(spec, PictureInputs(image=ONE, margins=Margins(left=28)), 16) == (128, 64)
    assert natural_size(spec, PictureInputs(image=Image.new("RGB", (8, 64))), 16) is None
