"""What OpenAI's routes read, for the API's description: they check bodies themselves, after the key."""

from typing import Any

from app.api.openai.schemas import EditBody, ImagesBody

_REF = "#/components/schemas/{model}"


def describe_bodies(description: dict[str, Any]) -> None:
    """Give both routes the schema of their bodies."""
    schema, named = ImagesBody.model_json_schema(), EditBody.model_json_schema(ref_template=_REF)
    description["components"]["schemas"].update(named.pop("$defs"))
    pictures = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "PNG, JPEG or WebP."}
    mask = {"type": "string", "format": "binary", "description": "Transparent where the picture is to be changed."}
    form = {**schema, "properties": {**schema["properties"], "image": pictures, "mask": mask}}
    form["required"] = [*schema["required"], "image"]
    for path, bodies in (
        ("/v1/images/generations", {"application/json": schema}),
        ("/v1/images/edits", {"multipart/form-data": form, "application/json": named}),
    ):
        content = {kind: {"schema": body} for kind, body in bodies.items()}
        description["paths"][path]["post"]["requestBody"] = {"required": True, "content": content}
