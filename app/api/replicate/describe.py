"""What Replicate's routes read, for the API's description: they check bodies themselves, after the key."""

from typing import Any

from app.api.replicate.answers import PATH
from app.api.replicate.routes import MODEL_PATH
from app.api.replicate.schemas import ModelPredictionBody, PredictionBody


def describe_bodies(description: dict[str, Any]) -> None:
    """Give both routes that create the schema of their bodies."""
    for path, body in ((PATH, PredictionBody), (MODEL_PATH, ModelPredictionBody)):
        content = {"application/json": {"schema": body.model_json_schema()}}
        description["paths"][path]["post"]["requestBody"] = {"required": True, "content": content}
