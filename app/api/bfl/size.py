"""Width and height as BFL's clients send them, turned into a size that a network can draw."""

from app.core.catalog import CatalogRow
from app.core.errors import InvalidRequest


def accepted_size(width: int | None, height: int | None, public: CatalogRow, runs: CatalogRow) -> tuple[int, int]:
    """The size to draw, in pixels: 0 or nothing is the running network's native side.

    Under an alias a size may suit the public name or the network that runs. Limits are checked on what was sent; then each
    side goes to the nearest multiple, halves up, but never outside the limits.
    """
    size = (width or runs.native_width, height or runs.native_height)
    if runs.accepts(*size):
        return _rounded(size, runs)
    _check(size, public)
    return _rounded(size, public)


def _check(size: tuple[int, int], row: CatalogRow) -> None:
    """Raise for the first limit that is broken."""
    for field, side in zip(("width", "height"), size, strict=True):
        if not row.min_side <= side <= row.max_side:
            limit = f"{row.min_side} to {row.max_side}"
            raise InvalidRequest(
                f"{field} must be {limit} pixels, or 0 for native", field=field, value=side, limit=limit
            )
    pixels = size[0] * size[1]
    if pixels > row.max_pixels:
        message = f"width times height must not exceed {row.max_pixels} pixels"
        raise InvalidRequest(message, field="width", value=f"{size[0]}x{size[1]} = {pixels}", limit=row.max_pixels)


def _rounded(size: tuple[int, int], row: CatalogRow) -> tuple[int, int]:
    width, height = (_nearest(side, row) for side in size)
    if width * height <= row.max_pixels:
        return width, height
    return size[0] // row.multiple * row.multiple, size[1] // row.multiple * row.multiple


def _nearest(side: int, row: CatalogRow) -> int:
    """The nearest multiple, halves up, within the limits."""
    smallest = -(-row.min_side // row.multiple) * row.multiple
    largest = row.max_side // row.multiple * row.multiple
    return min(max((side + row.multiple // 2) // row.multiple * row.multiple, smallest), largest)
