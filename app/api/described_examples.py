"""Examples in the API's description: what a client sent and what it was answered, as it was recorded (tests/contracts/test_description.py).

A model's own routes share an answer, and have a request for every kind of body.
"""

import json
from pathlib import Path
from typing import Any, Final

from app.core.catalog import Catalog
from app.core.catalog_row import Body

RECORDED: Final = Path(__file__).with_name("examples.json")
PICTURE: Final = "https://example.com/picture.png"
MASK: Final = "https://example.com/mask.png"
_APPLE: Final[dict[str, Any]] = {"prompt": "a red apple on a blue background", "seed": 7}
_FILLED: Final[dict[str, Any]] = {**_APPLE, "image": PICTURE, "mask": MASK}
_CONTROLLED: Final[dict[str, Any]] = {**_APPLE, "control_image": PICTURE}
_SIDES: Final[dict[str, Any]] = {**_APPLE, "width": 1024, "height": 768}
_EDITED: Final[dict[str, Any]] = {"prompt": "make the apple green", "input_image": PICTURE}
BODIES: Final[dict[Body, dict[str, Any]]] = {
    "klein": _SIDES,
    "klein-dials": {**_APPLE, "width": 128, "height": 128, "steps": 16, "output_format": "png"},
    "flux2": _SIDES,
    "flux2-dials": {**_SIDES, "guidance": 4},
    "flex": {**_SIDES, "steps": 30, "guidance": 4.5},
    "flux1": _SIDES,
    "flux1-pro": {**_SIDES, "steps": 40},
    "flux1-dev": {**_SIDES, "steps": 28, "guidance": 3},
    "flux1-schnell": {**_SIDES, "steps": 4},
    "ultra": {**_APPLE, "aspect_ratio": "16:9", "raw": True},
    "kontext": {**_EDITED, "aspect_ratio": "1:1"},
    "kontext-dials": {**_EDITED, "steps": 28},
    "fill": _FILLED,
    "expand": {**_APPLE, "image": PICTURE, "left": 256, "right": 256},
    "canny": {**_CONTROLLED, "canny_low_threshold": 50, "canny_high_threshold": 200},
    "canny-sides": {**_CONTROLLED, "width": 1024, "height": 1024},
    "depth": _CONTROLLED,
    "depth-sides": {**_CONTROLLED, "width": 1024, "height": 1024},
    "diffusion": {**_APPLE, "negative_prompt": "blurry", "sampler": "dpmpp_2m", "schedule": "karras", "steps": 25},
    "diffusion-fill": {**_FILLED, "steps": 25},
}


def describe_examples(description: dict[str, Any], catalog: Catalog, prefix: str) -> None:
    """Give every route its examples; one that nothing was recorded of goes without."""
    recorded: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text())
    submitted = recorded[f"POST {prefix}/flux-nano"]["response"]
    for row in catalog.rows:
        recorded[f"POST {prefix}/{row.name}"] = {"request": BODIES[row.body], "response": submitted}
    for name, example in recorded.items():
        method, path = name.split(" ")
        operation = description["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            _add(operation, example)


def _add(operation: dict[str, Any], example: dict[str, Any]) -> None:
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    if "requestBody" in operation:
        _show(operation["requestBody"], example.get("request"))
    if answers:
        _show(answers[0], example.get("response"))


def _show(part: dict[str, Any], value: object) -> None:
    described = part.get("content", {}).get("application/json")
    if value is not None and described is not None:
        described["example"] = value
