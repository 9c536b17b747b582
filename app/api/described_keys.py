"""Keys in the API's description: how one is sent, and where a request may come without."""

from typing import Any, Final

from app.api.bfl.routes import PREFIX
from app.api.described_refusals import METHODS
from app.api.replicate.answers import PATH
from app.api.replicate.routes import MODEL_PATH
from app.core.catalog import Catalog

SCHEMES: Final[dict[str, Any]] = {
    "x-key": {"type": "apiKey", "in": "header", "name": "x-key", "description": "A key, `dk_live_...`."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as `Authorization: Bearer`."},
}
OPEN: Final = frozenset({"/v1/pricing", "/v1/pricing/estimate", "/livez", "/readyz", "/metrics"})
"""Nothing there is anybody's."""
SIGNED: Final = frozenset({"/v1/get_result", "/v1/results/{generation_id}/{attempt}/sample.{extension}"})
"""Addresses that a client was given carry their own right."""
FREE: Final = frozenset(
    {
        ("post", "/v1/images/generations"),
        ("post", "/v1/images/edits"),
        ("post", PATH),
        ("post", MODEL_PATH),
        ("post", "/v1/licenses/models/{model_slug}/usage"),
        ("get", "/v1/models"),
        ("get", "/v1/models/{name}"),
        ("get", "/v1/account"),
    }
)
"""What callers without a key may ask for beside the models' own routes, where such are served."""

_WITH_KEY: Final[list[dict[str, list[str]]]] = [{name: []} for name in SCHEMES]


def describe_keys(description: dict[str, Any], catalog: Catalog, *, serves_anonymous: bool) -> None:
    """Say of every route which keys it reads. An empty choice: it also serves requests without one.

    Args:
        description: is changed.
        catalog: of the models that have routes.
        serves_anonymous: whether callers without a key get free images here.
    """
    description.setdefault("components", {})["securitySchemes"] = SCHEMES
    models = {("post", f"{PREFIX}/{row.name}") for row in catalog.rows}
    free = FREE | models if serves_anonymous else frozenset[tuple[str, str]]()
    for path, operations in description["paths"].items():
        for method in METHODS & operations.keys():
            is_optional = path in SIGNED or (method, path) in free
            choices = [*_WITH_KEY, {}] if is_optional else _WITH_KEY
            operations[method]["security"] = [] if path in OPEN else choices
