"""What content credentials claim about a picture: who made the file, that a network drew it, which one, and from what.

Source: C2PA specification 2.2, 18.15 (actions) and 18.16 (ingredients); IPTC's digital source types.
"""

from typing import Any, Final

from app.core.spec import GenerationSpec, InputImage
from workers.provenance.software import NAME

ACTIONS: Final = "c2pa.actions.v2"
_SOURCE_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED: Final = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
COMPOSITE: Final = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"

_CHANGED: Final = "image"


def manifest_of(spec: GenerationSpec, version: str) -> dict[str, Any]:
    """The definition that c2pa's Builder takes. The prompt is not in it: whoever gets the picture would read it."""
    changed = spec.images(_CHANGED)
    actions = _edited(spec, version) if changed else [_created(spec, version)]
    return {
        "claim_generator_info": [{"name": NAME, "version": version}],
        "format": f"image/{spec.output_format}",
        "ingredients": [_ingredient(image, index) for index, image in enumerate(_shown(spec))],
        "assertions": [{"label": ACTIONS, "data": {"actions": actions}}],
    }


def _created(spec: GenerationSpec, version: str) -> dict[str, Any]:
    inputs = [_label(index) for index, _ in enumerate(_shown(spec))]
    action = {"action": "c2pa.created", "digitalSourceType": GENERATED, "softwareAgent": _agent(spec, version)}
    return {**action, "parameters": {"ingredientIds": inputs}} if inputs else action


def _edited(spec: GenerationSpec, version: str) -> list[dict[str, Any]]:
    """A picture of the caller's that was changed: it was opened, and parts of it, or all of it, were drawn anew."""
    labels = [_label(index) for index, image in enumerate(_shown(spec)) if image.role == _CHANGED]
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": labels[:1]}}
    edited = {"action": "c2pa.edited", "digitalSourceType": COMPOSITE, "softwareAgent": _agent(spec, version)}
    return [opened, edited]


def _agent(spec: GenerationSpec, version: str) -> dict[str, Any]:
    """The network that drew, in this program."""
    return {"name": spec.network, "version": version}


def _ingredient(image: InputImage, index: int) -> dict[str, Any]:
    """A picture of the request by its role and digest. Its bytes are a stranger's and are not parsed here."""
    return {
        "title": image.role,
        "format": image.content_type,
        "label": _label(index),
        "instance_id": f"urn:sha256:{image.sha256}",
        "relationship": "parentOf" if image.role == _CHANGED else "inputTo",
    }


def _shown(spec: GenerationSpec) -> list[InputImage]:
    """A mask says where, and is no source."""
    return [image for image in spec.inputs if image.role != "mask"]


def _label(index: int) -> str:
    return f"input_{index}"
