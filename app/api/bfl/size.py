"""Width and height as BFL's clients send them, turned into a size that a network can draw."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from app.core.catalog import Resolved
from app.core.catalog_row import SizeLimits, Sizing
from app.core.errors import InvalidRequest

Size = tuple[int, int]


@dataclass(frozen=True)
class Asked:
    """What a request says about its size. Sides and the picture's size are pixels; 0 or None is not said."""

    width: int | None = None
    height: int | None = None
    ratio: float | None = None
    """Width to height."""
    picture: Size | None = None
    """Of the picture that is changed, edited or drawn along."""


def drawn_size(asked: Asked, model: Resolved) -> Size:
    """The size to draw, in pixels. A side that is not given follows the rule of the public name (Sizing).

    Under an alias a size that is given may suit the public name or the network that runs. Limits are checked on what was
    sent; then each side goes to the nearest multiple, halves up, but never outside the limits. Raises InvalidRequest.
    """
    default = _DEFAULTS[model.row.sizing](asked, model)
    if not asked.width and not asked.height:
        return default
    size = (asked.width or default[0], asked.height or default[1])
    if model.runs.accepts(*size):
        return _rounded(size, model.runs.size)
    _check(size, model.row.size)
    return _rounded(size, model.row.size)


def extended_size(picture: Size, horizontal: int, vertical: int, model: Resolved) -> Size:
    """The size of a picture with so many pixels more. It is what was asked for, so one past the limits is refused."""
    size = (picture[0] + horizontal, picture[1] + vertical)
    if not model.accepts(*size):
        limits = model.row.size
        message = f"with its margins the picture must have at most {limits.max_pixels} pixels"
        raise InvalidRequest(message, field="image", value=f"{size[0]}x{size[1]}", limit=limits.max_pixels)
    return _rounded(size, model.row.size)


def _native_or_picture(asked: Asked, model: Resolved) -> Size:
    limits = model.runs.size
    if asked.picture is None:
        return limits.native_width, limits.native_height
    return _fitted(asked.picture, limits)


def _in_shape(asked: Asked, model: Resolved) -> Size:
    """The native number of pixels of the network that runs, in the shape that is asked for or else the picture's."""
    limits = model.runs.size
    ratio = asked.ratio or (clamped_ratio(*asked.picture) if asked.picture else None)
    if ratio is None:
        return limits.native_width, limits.native_height
    num_pixels = limits.native_width * limits.native_height
    return _rounded((round(math.sqrt(num_pixels * ratio)), round(math.sqrt(num_pixels / ratio))), limits)


def _as_picture(asked: Asked, model: Resolved) -> Size:
    if asked.picture is None:
        return model.runs.native_width, model.runs.native_height
    if model.accepts(*asked.picture):
        return _rounded(asked.picture, model.row.size)
    return _fitted(asked.picture, model.row.size)


_DEFAULTS: dict[Sizing, Callable[[Asked, Resolved], Size]] = {
    "sides": _native_or_picture,
    "aspect_ratio": _in_shape,
    "input": _as_picture,
}

MAX_RATIO = 21 / 9
"""Width to height, or height to width."""


def clamped_ratio(width: float, height: float) -> float:
    """The shape of a picture, no wider and no taller than may be asked for."""
    return min(max(width / height, 1 / MAX_RATIO), MAX_RATIO)


def _fitted(size: Size, limits: SizeLimits) -> Size:
    """A size made large enough and small enough, its shape kept as far as the limits and the multiples let it."""
    width, height = size
    enough = max(1.0, _least(limits) / min(size))
    scale = min(enough, limits.max_side / max(size), math.sqrt(limits.max_pixels / (width * height)))
    return _rounded((round(width * scale), round(height * scale)), limits)


def _check(size: Size, limits: SizeLimits) -> None:
    """Raise for the first limit that is broken."""
    for field, side in zip(("width", "height"), size, strict=True):
        _check_side(field, side, limits)
    pixels = size[0] * size[1]
    if pixels > limits.max_pixels:
        message = f"width times height must not exceed {limits.max_pixels} pixels"
        raise InvalidRequest(message, field="width", value=f"{size[0]}x{size[1]} = {pixels}", limit=limits.max_pixels)


def _check_side(field: str, side: int, limits: SizeLimits) -> None:
    if not limits.min_side <= side <= limits.max_side:
        limit = f"{limits.min_side} to {limits.max_side}"
        raise InvalidRequest(f"{field} must be {limit} pixels, or 0 for native", field=field, value=side, limit=limit)
    if not limits.rounds and side % limits.multiple:
        limit = f"multiples of {limits.multiple}"
        raise InvalidRequest(f"{field} must be a multiple of {limits.multiple}", field=field, value=side, limit=limit)


def _rounded(size: Size, limits: SizeLimits) -> Size:
    width, height = (_nearest(side, limits) for side in size)
    if width * height <= limits.max_pixels:
        return width, height
    return tuple[int, int](max(_down(side, limits), _least(limits)) for side in size)


def _nearest(side: int, limits: SizeLimits) -> int:
    """The nearest multiple, halves up, within the limits."""
    return min(max(_down(side + limits.multiple // 2, limits), _least(limits)), _down(limits.max_side, limits))


def _least(limits: SizeLimits) -> int:
    return -(-limits.min_side // limits.multiple) * limits.multiple


def _down(side: int, limits: SizeLimits) -> int:
    return side // limits.multiple * limits.multiple
