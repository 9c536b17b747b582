"""Layout of latents: packing is undone, positions follow the tokens, sizes that do not fit are refused."""

import pytest
import torch

from models.errors import UnsupportedSize
from models.latents import image_ids, latent_grid, packed, text_ids, unpacked


def test_packing_is_undone() -> None:
    x = torch.arange(2 * 3 * 2 * 5.0).reshape(2, 3, 2, 5)
    assert torch.equal(unpacked(packed(x), 2, 5), x)


def test_positions_name_the_place_of_each_token() -> None:
    planes = torch.stack([torch.arange(2)[:, None].expand(2, 3), torch.arange(3).expand(2, 3)])[None]
    ids = image_ids(2, 3)
    assert torch.equal(packed(planes)[0], ids[:, 1:3])
    assert (ids[:, [0, 3]] == 0).all()


def test_text_positions_count_on_the_last_axis() -> None:
    assert text_ids(3).tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 2]]


@pytest.mark.parametrize(("width", "height"), [(63, 64), (64, 8), (0, 64), (64, -16)])
def test_sizes_off_the_grid_are_refused(width: int, height: int) -> None:
    with pytest.raises(UnsupportedSize, match="is no positive multiple of 16"):
        latent_grid(width, height, 16)


def test_rows_come_from_the_height() -> None:
    assert latent_grid(96, 64, 16) == (4, 6)
