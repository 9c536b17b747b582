"""The one check of a number against its bounds."""

from app.core.errors import InvalidRequest


def within(field: str, value: float, least: float, most: float) -> float:
    """The value. Raises InvalidRequest, naming field, value and limit, when it lies outside."""
    if not least <= value <= most:
        limit = f"{least:g} to {most:g}"
        raise InvalidRequest(f"{field} must be {limit}", field=field, value=value, limit=limit)
    return value
