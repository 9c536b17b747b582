"""What images cost, for anybody: the table of prices, and the price of any request without making it."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from app.api.bfl.request_body import parse
from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.translate.pictures import read_pictures
from app.api.bfl.translate.spec import to_spec
from app.dependencies import Parts
from app.egress.pictures import fetch_nothing
from app.files.naming import no_files
from app.limits.burst import count_estimate
from app.metering.pricing import credits_number, price
from app.metering.rules import Flat, Line, Rule

USD_PER_CREDIT = 0.01


class PricesRead(BaseModel, defer_build=True):
    """Amounts are in credits. `models` has one entry for each public name."""

    version: str
    usd_per_credit: float = USD_PER_CREDIT
    models: list[dict[str, Any]]


class LineRead(BaseModel, defer_build=True):
    """`quantity` x `unit_cost` = `cost`, rounded up to the millionth of a credit where megapixels are counted exactly."""

    item: str
    quantity: float
    unit_cost: float
    cost: float
    cost_micro: int

    @classmethod
    def of(cls, line: Line) -> "LineRead":
        return cls(
            item=line.item,
            quantity=line.quantity,
            unit_cost=credits_number(line.unit_micro),
            cost=credits_number(line.micro),
            cost_micro=line.micro,
        )


class EstimateRead(BaseModel, defer_build=True):
    """What the request would cost now, and why; `cost` is what its submit would answer and its delivery charge."""

    model: str
    cost: float
    cost_micro: int
    input_mp: float
    output_mp: float
    width: int
    height: int
    steps: int
    breakdown: list[LineRead]
    price_version: str


class _Named(BaseModel, defer_build=True):
    model: str


def router() -> APIRouter:
    """Both routes. Neither asks for a key."""
    routes = APIRouter(prefix="/v1/pricing", tags=["Pricing"])
    routes.add_api_route("", prices, methods=["GET"])
    routes.add_api_route(
        "/estimate",
        estimate,
        methods=["POST"],
        dependencies=[Depends(count_estimate)],
        openapi_extra={"requestBody": _ESTIMATE_BODY},
    )
    return routes


_ESTIMATE_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["model"],
                "properties": {"model": {"type": "string", "description": "A public name."}},
                "additionalProperties": True,
                "description": "The body of the model's own route, and its name.",
            }
        }
    },
}


async def prices(parts: Parts) -> PricesRead:
    """The price of every model. It holds until `version` changes; what is submitted keeps the price that it was submitted at."""
    book = parts.price_book
    return PricesRead(
        version=book.version,
        models=[{"model": row.name, **_shown(book.rules[row.name])} for row in parts.catalog.rows],
    )


async def estimate(request: Request, parts: Parts) -> EstimateRead:
    """The price of a request that is not made: the body of any model's route, and `model`, its name.

    Pictures are measured and thrown away. Every model has a price, installed or not.
    """
    model = parts.catalog.resolve((await parse(_Named, request)).model)
    body = await parse(body_of(model.row), request)
    spec = to_spec(body, model, await read_pictures(body, model, fetch_nothing, no_files))
    found = price(spec, parts.price_book)
    return EstimateRead(
        model=spec.model,
        cost=credits_number(found.micro),
        cost_micro=found.micro,
        input_mp=found.input_mp,
        output_mp=found.output_mp,
        width=spec.width,
        height=spec.height,
        steps=spec.steps,
        breakdown=[LineRead.of(line) for line in found.lines],
        price_version=found.version,
    )


def _shown(rule: Rule) -> dict[str, Any]:
    """A rule in credits, its other values as they are."""
    values = asdict(rule).items()
    shown = {
        name.removesuffix("_micro"): credits_number(value) if name.endswith("_micro") else value
        for name, value in values
    }
    return {"per": "image" if isinstance(rule, Flat) else "megapixel", **shown}
