"""model_index.json of a folder that was put together: which pipeline it is, and the class of each component."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from models.checkpoints.config import read_object, write_object
from models.checkpoints.folder import INDEX
from models.importing.request import Target

CLASS_FIELDS = (
    ("config.json", "_class_name"),
    ("config.json", "architectures"),
    ("tokenizer_config.json", "processor_class"),
    ("tokenizer_config.json", "tokenizer_class"),
    ("preprocessor_config.json", "image_processor_type"),
)
"""Where a component says what it is."""
LIBRARIES = {
    "transformer": "diffusers",
    "unet": "diffusers",
    "controlnet": "diffusers",
    "vae": "diffusers",
    "scheduler": "diffusers",
    "image_embedder": "flux",
    "image_adapter": "darkroom",
}
"""By component; the others are of transformers."""


REFINER: dict[str, object] = {"requires_aesthetics_score": True, "force_zeros_for_empty_prompt": False}
"""What SDXL's refiner was published with."""


def write_index(folder: Path, target: Target, source: Path | None) -> None:
    """Write the index of a staged folder.

    Args:
        folder: has all components.
        target: which classes they may have.
        source: pipeline's folder whose index this one follows; None when there is none.
    """
    known = {} if source is None else read_object(source / INDEX)
    index: dict[str, object] = {
        name: value for name, value in known.items() if name not in target.components and not isinstance(value, list)
    }
    index.setdefault("_class_name", target.pipelines[0])
    if target.spec is not None and "is_distilled" in known:
        index["is_distilled"] = known["is_distilled"]
    elif target.spec is not None and target.spec.text.encoder == "qwen3":
        index["is_distilled"] = target.spec.is_distilled
    if target.left_out:
        index |= {name: [None, None] for name in target.left_out} | REFINER
    for name, classes in target.components.items():
        index[name] = _entry(folder / name, classes, known.get(name))
    write_object(folder / INDEX, index)


def is_named(index: Mapping[str, object], name: str) -> bool:
    """Whether an index gives a component a class."""
    value = index.get(name)
    items = cast(list[object], value) if isinstance(value, list) else []
    return bool(items) and all(isinstance(item, str) for item in items)


def _entry(folder: Path, classes: tuple[str, ...], known: object) -> list[str]:
    """Library and class of a component: what its own files say, else what the index said, else the usual one."""
    said = [*_said(folder), *(cast(list[object], known)[-1:] if isinstance(known, list) else ())]
    name = next((one for one in said if one in classes), classes[0])
    if isinstance(known, list) and cast(list[object], known)[-1:] == [name]:
        return cast(list[str], known)
    return [LIBRARIES.get(folder.name, "transformers"), cast(str, name)]


def _said(folder: Path) -> list[object]:
    said: list[object] = []
    for file, field in CLASS_FIELDS:
        value = read_object(folder / file).get(field) if (folder / file).is_file() else None
        said += cast(list[object], value) if isinstance(value, list) else [value]
    return said
