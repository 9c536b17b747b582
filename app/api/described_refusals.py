"""Refusals in the API's description: each route's, in the shape of its dialect, with the codes of docs/errors.md behind it."""

from typing import Any

from app.api.errors import renderer_of
from app.api.refused import bfl, openai, problem, replicate

METHODS = frozenset({"get", "post", "put", "patch", "delete"})
RANGES = {"4XX": "The request is refused; docs/errors.md has the codes.", "5XX": "The service cannot serve it now."}

_TEXT = {"type": "string"}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": _TEXT,
        "request_id": _TEXT,
    },
}
_REPLICATE: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": _TEXT,
        "code": _TEXT,
        "invalid_fields": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": _TEXT, "description": _TEXT}},
        },
    },
}
_OPENAI: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_FAULT = {"type": "object", "required": ["loc", "msg", "type"], "properties": {"msg": _TEXT, "type": _TEXT}}
_BFL: dict[str, Any] = {
    "type": "object",
    "required": ["detail", "message"],
    "properties": {"detail": {"anyOf": [_TEXT, {"type": "array", "items": _FAULT}]}, "message": _TEXT},
}
_CONTENT: dict[object, tuple[str, str, dict[str, Any]]] = {
    problem.render: ("Problem", "application/problem+json", _PROBLEM),
    replicate.render: ("PredictionProblem", "application/problem+json", _REPLICATE),
    openai.render: ("OpenAIError", "application/json", _OPENAI),
    bfl.render: ("Refusal", "application/json", _BFL),
}


def describe_refusals(description: dict[str, Any]) -> None:
    """Give every route its refusals, instead of FastAPI's one of faulty requests."""
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for path, operations in description["paths"].items():
        name, kind, schema = _CONTENT[renderer_of(path)]
        schemas[name] = schema
        content = {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        for method in METHODS & operations.keys():
            responses = operations[method]["responses"]
            responses.pop("422", None)
            responses.update({range_: {"description": text, "content": content} for range_, text in RANGES.items()})
