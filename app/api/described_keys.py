"""Keys in the API's description: how one is sent, and where a request may come without."""

from typing import Any, Final

from app.api.described_refusals import METHODS

SCHEMES: Final[dict[str, Any]] = {
    "x-key": {"type": "apiKey", "in": "header", "name": "x-key", "description": "A key, `dk_live_...`."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as `Authorization: Bearer`."},
}
_WITH_KEY: Final[list[dict[str, list[str]]]] = [{name: []} for name in SCHEMES]
OPEN: Final = frozenset({"/v1/pricing", "/v1/pricing/estimate", "/livez", "/readyz", "/metrics"})
"""Nothing there is anybody's."""
SIGNED: Final = frozenset({"/v1/get_result", "/v1/results/{generation_id}/{attempt}/sample.{extension}"})
"""Addresses that a client was given carry their own right."""


def describe_keys(description: dict[str, Any]) -> None:
    """Say of every route which keys it reads. An empty choice: it also serves requests without one."""
    description.setdefault("components", {})["securitySchemes"] = SCHEMES
    for path, operations in description["paths"].items():
        for method in METHODS & operations.keys():
            operations[method]["security"] = _choices(path)


def _choices(path: str) -> list[dict[str, list[str]]]:
    if path in OPEN:
        return []
    return [*_WITH_KEY, {}] if path in SIGNED else _WITH_KEY
