"""What OpenAI's routes read, for the API's description: they check bodies themselves, after the key."""

from typing import Any

from app.api.openai.schemas import ImagesBody


def describe_bodies(description: dict[str, Any]) -> None:
    """Give both routes the schema of their bodies."""
    schema = ImagesBody.model_json_schema()
    pictures = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "PNG, JPEG or WebP."}
    mask = {"type": "string", "format": "binary", "description": "Transparent where the picture is to be changed."}
    form = {**schema, "properties": {**schema["properties"], "image": pictures, "mask": mask}}
    form["required"] = [*schema["required"], "image"]
    for path, kind, body in (
        ("/v1/images/generations", "application/json", schema),
        ("/v1/images/edits", "multipart/form-data", form),
    ):
        description["paths"][path]["post"]["requestBody"] = {"required": True, "content": {kind: {"schema": body}}}
