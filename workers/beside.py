"""Networks that stand beside those that draw: ControlNets, and what reads picture prompts. Rows name those that they need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import torch

from models.checkpoints.control_folder import is_control
from models.checkpoints.embedding_folder import is_embedding_folder
from models.errors import ModelError
from models.pipeline.components import Components
from models.pipeline.controls import ControlNetwork
from models.pipeline.image_prompts import ImagePrompter
from models.pipeline.loading import is_prompter, load_control, load_prompter
from workers.engine.lazy_part import LazyPart, Part

Held = TypeVar("Held", bound=Part)

log = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class Place:
    """Where networks shall live and in which type they shall run; None: what each one says."""

    device: torch.device
    dtype: torch.dtype | None


@dataclass(frozen=True)
class Folders:
    """Folders by the name and the use of what they hold."""

    drawing: Mapping[str, Path]
    steering: Mapping[str, Path]
    prompting: Mapping[str, Path]
    learnt: Mapping[str, Path]


@dataclass(frozen=True)
class Beside:
    """What stands beside the networks of this worker, by name."""

    controls: Mapping[str, LazyPart[ControlNetwork]]
    prompters: Mapping[str, LazyPart[ImagePrompter]]

    @property
    def parts(self) -> tuple[LazyPart[ControlNetwork] | LazyPart[ImagePrompter], ...]:
        """All of them."""
        return (*self.controls.values(), *self.prompters.values())

    def load(self) -> "Beside":
        """Load all at once, and return those that could be."""
        return Beside(_loaded(self.controls), _loaded(self.prompters))


NOTHING_BESIDE = Beside({}, {})


def sorted_folders(folders: Mapping[str, Path]) -> Folders:
    """Tell the folders of networks that draw from those of others, by their indexes."""
    steering = {name: folder for name, folder in folders.items() if _is(is_control, folder)}
    prompting = {name: folder for name, folder in folders.items() if _is(is_prompter, folder)}
    learnt = {name: folder for name, folder in folders.items() if _is(is_embedding_folder, folder)}
    beside = {**steering, **prompting, **learnt}
    drawing = {name: folder for name, folder in folders.items() if name not in beside}
    return Folders(drawing, steering, prompting, learnt)


def found_beside(folders: Folders, components: Mapping[str, Components], place: Place) -> Beside:
    """Outlines of all, each in the type of the first network that it fits; weights come when they are asked for."""
    return Beside(
        _outlined(folders.steering, load_control, lambda part, one: one.takes_control(part.network), components, place),
        _outlined(folders.prompting, load_prompter, lambda part, one: part.fits(one), components, place),
    )


def _outlined(
    folders: Mapping[str, Path],
    load: Callable[[Path, torch.device | str, torch.dtype], Held],
    fits: Callable[[Held, Components], bool],
    components: Mapping[str, Components],
    place: Place,
) -> dict[str, LazyPart[Held]]:
    parts: dict[str, LazyPart[Held]] = {}
    for name, folder in folders.items():
        try:
            seen = load(folder, "meta", torch.float32)
            dtype = next((one.dtype for one in components.values() if fits(seen, one)), place.dtype or torch.bfloat16)
            parts[name] = LazyPart(
                name, load(folder, "meta", dtype), partial(_load, name, load, folder, place.device, dtype)
            )
        except ModelError as error:
            log.error("network left out", network=name, folder=str(folder), error=str(error))
            continue
        log.info("network found", network=name, revision=parts[name].revision)
    return parts


def _load(
    name: str,
    load: Callable[[Path, torch.device | str, torch.dtype], Held],
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
) -> Held:
    part = load(folder, device, dtype)
    log.info("weights loaded", network=name)
    return part


def _loaded(parts: Mapping[str, LazyPart[Held]]) -> dict[str, LazyPart[Held]]:
    loaded: dict[str, LazyPart[Held]] = {}
    for name, part in parts.items():
        try:
            part.load()
        except ModelError as error:
            log.error("network left out", network=name, error=str(error))
            continue
        loaded[name] = part
    return loaded


def _is(kind: Callable[[Path], bool], folder: Path) -> bool:
    try:
        return kind(folder)
    except ModelError:
        return False  # said again, and logged, when it is loaded
