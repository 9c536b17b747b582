"""Routes of BFL's that stay reserved: fine-tunes are not served yet, and a client is told so instead of finding nothing there."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.auth.dependencies import AnyCaller
from app.core.errors import NotServed

FINETUNED: Final = (
    "flux-pro-finetuned",
    "flux-pro-1.0-canny-finetuned",
    "flux-pro-1.0-depth-finetuned",
    "flux-pro-1.0-fill-finetuned",
    "flux-pro-1.1-ultra-finetuned",
)
ROUTES: Final = {
    "POST": ("finetune", "delete_finetune", *FINETUNED),
    "GET": ("my_finetunes", "finetune_details"),
}


def add_finetunes(routes: APIRouter) -> None:
    """All of them, each with a refusal for an answer."""
    for method, names in ROUTES.items():
        for name in names:
            routes.add_api_route(f"/{name}", _refuse, methods=[method], name=name, status_code=501)


async def _refuse(request: Request, _caller: AnyCaller) -> Response:
    """Reserved: this server makes and serves no fine-tunes yet."""
    raise NotServed(f"{request.url.path}: this server makes and serves no fine-tunes yet; nothing was charged")
