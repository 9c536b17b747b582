"""A folder in Diffusers' layout, put together from wherever its components are, checked whole, and published in one step."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from models.checkpoints.config import Config, read_object, write_object
from models.checkpoints.files import UNSAFE_SUFFIXES
from models.checkpoints.folder import GENERATION, INDEX, read_folder
from models.checkpoints.provenance import PROVENANCE, fingerprint, record_of, write_provenance
from models.checkpoints.unet_config import unet_params
from models.errors import ShapeMismatch
from models.flow.flux1 import Flux1Params
from models.flow.flux2 import Flux2Params
from models.importing.components import STEMS, Begin, Workplace, bring, params_of_family
from models.importing.errors import ImportRefused
from models.importing.hub import SCHEME, fetched
from models.importing.index import is_named, write_index
from models.importing.progress import Stages
from models.importing.request import OPTIONS, Request, Target
from models.importing.schedulers import published_schedule
from models.importing.sources import Origin, local, refuse_escapes
from models.importing.stable_diffusion import components_in, holds_half, is_refiner, scheduler_changes
from models.importing.staging import published, refuse_occupied, settled, staged
from models.importing.targets import target_of
from models.importing.weights import safe_files, single_file
from models.pipeline.loading import load_components
from models.unet.unet import UnetParams

NOTICES = ("LICENSE*", "LICENCE*", "NOTICE*")
MAX_NOTICE_BYTES = 2**20
SCHEDULER = "scheduler"


@dataclass(frozen=True)
class Parts:
    """Where each component comes from, the folder that the source itself is, and the one that gives what it lacks."""

    components: Mapping[str, Path]
    whole: Path | None
    base: Path | None

    @property
    def pattern(self) -> Path | None:
        """The folder to go by where a file does not tell everything."""
        return self.whole or self.base


def import_weights(request: Request, stages: Stages) -> Path:
    """Do what a request says.

    Returns:
        The folder that was made.

    Raises:
        ModelError: it cannot be done; nothing is left behind.
        OSError: a file cannot be read or written.
    """
    target, place = target_of(request), request.into / request.name
    refuse_occupied(place, replace=request.replace)
    origin = _located(request, target, stages)
    target = target.as_refiner if _is_refiner(origin.path, target) else target
    parts = _parts(request, target, origin)
    with staged(request.into, request.name) as folder:
        _assemble(target, parts, Workplace(folder, folder.parent / "scratch", stages.begin))
        stages.begin("checking every name and shape", None)
        _check(folder, target, request)
        stages.begin("hashing", sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
        record(folder, request, origin)
        published(folder, place, replace=request.replace)
    return place


def _located(request: Request, target: Target, stages: Stages) -> Origin:
    if request.source.startswith(SCHEME):
        beside = () if request.base is not None else set(target.beside) - request.swaps.keys()
        return fetched(request.source, target.components.keys() - request.swaps.keys(), request.hub, stages, beside)
    return local(request.source)


def _parts(request: Request, target: Target, origin: Origin) -> Parts:
    if unknown := sorted(request.swaps.keys() - target.components.keys()):
        raise ImportRefused(f"{request.name} has no {', '.join(unknown)}")
    whole = origin.path if (origin.path / INDEX).is_file() else None
    found = {name: place for name in target.beside if (place := origin.path.parent / name).is_dir()}
    found |= {} if request.base is None else _of_base(request.base, target)
    found |= dict.fromkeys(_held(origin.path, target), origin.path) if whole is None else _inside(whole, target)
    found |= {name: _component_of(path, name) for name, path in request.swaps.items()}
    if missing := sorted(target.components.keys() - found.keys() - {SCHEDULER, *target.completed}):
        ways = ", ".join(f"{name} ({OPTIONS[name]} DIR)" if name in OPTIONS else name for name in missing)
        raise ImportRefused(
            f"{request.source} lacks components of {request.name}: {ways}; "
            "or give --base with an installed folder that has them"
        )
    return Parts(found, whole, request.base)


def _held(source: Path, target: Target) -> tuple[str, ...]:
    """The components that a source without an index fills: the denoiser, and in one file of Stable Diffusion what stands beside it."""
    if target.denoiser != "unet" or (source / "config.json").is_file():
        return (target.denoiser,)
    file = single_file(source)
    networks = tuple(name for name in target.components if name in STEMS)
    # A pickle is not looked into here. Such checkpoints hold all networks.
    return networks if file.suffix in UNSAFE_SUFFIXES else tuple(set(components_in(file)) & set(networks))


def _is_refiner(source: Path, target: Target) -> bool:
    has_two_encoders = target.denoiser == "unet" and "text_encoder_2" in target.components
    if not has_two_encoders or (source / INDEX).is_file() or (source / "config.json").is_file():
        return False
    file = single_file(source)
    return file.suffix not in UNSAFE_SUFFIXES and is_refiner(file)


def _marks(parts: Parts, target: Target, scratch: Path, begin: Begin) -> dict[str, object]:
    """What a file of Stable Diffusion says of its schedule."""
    source = parts.components.get("unet")
    if source is None or target.denoiser != "unet" or parts.whole is not None or (source / "config.json").is_file():
        return {}
    (file,) = safe_files([single_file(source)], scratch, begin)
    return scheduler_changes(file)


def _inside(folder: Path, target: Target) -> dict[str, Path]:
    """The components that a pipeline's folder has."""
    index = read_object(folder / INDEX)
    refuse_escapes(folder, target.components)
    return {name: folder / name for name in target.components if is_named(index, name) and (folder / name).is_dir()}


def _of_base(base: Path, target: Target) -> dict[str, Path]:
    """What an installed folder gives: its schedule only to a network that is guided as its own is."""
    if not (base / INDEX).is_file():
        raise ImportRefused(f"{base} is no installed folder: it has no {INDEX}")
    found = _inside(base, target)
    if target.spec is not None and read_folder(base).spec.is_distilled != target.spec.is_distilled:
        found.pop(SCHEDULER, None)
    return found


def _component_of(path: Path, name: str) -> Path:
    """A swapped component: given as itself, or as the pipeline's folder that has it."""
    if not path.exists():
        raise ImportRefused(f"{path} is not there")
    return path / name if (path / INDEX).is_file() else path


def _assemble(target: Target, parts: Parts, place: Workplace) -> None:
    for name, source in parts.components.items():
        pattern = parts.pattern / name if parts.pattern is not None else None
        bring(name, source, place, pattern if pattern is not None and pattern.is_dir() else None)
    if SCHEDULER not in parts.components and target.spec is not None:
        write_object(place.folder / SCHEDULER / "scheduler_config.json", published_schedule(target.spec))
    schedule = place.folder / SCHEDULER / "scheduler_config.json"
    if marks := _marks(parts, target, place.scratch, place.begin):
        write_object(schedule, read_object(schedule) | marks)
    if target.complete is not None:
        target.complete(place.folder)
    write_index(place.folder, target, parts.whole)
    if parts.whole is not None:
        _bring_notices(parts.whole, place.folder, "")
    if parts.base is not None:
        _bring_notices(parts.base, place.folder, "base.")
    defaults = parts.whole if parts.whole is not None else parts.base if SCHEDULER in parts.components else None
    said = read_object(defaults / GENERATION) if defaults is not None and (defaults / GENERATION).is_file() else {}
    if parts.whole is None and target.denoiser == "unet" and holds_half(place.folder / target.denoiser):
        said |= {"dtype": "float16"}
    if said:
        write_object(place.folder / GENERATION, said)


def _bring_notices(source: Path, target: Path, prefix: str) -> None:
    """The texts that must stay with weights; those of a base are marked as its."""
    notices = sorted({path for pattern in NOTICES for path in source.glob(pattern)})
    for path in notices:
        if path.is_file() and path.stat().st_size <= MAX_NOTICE_BYTES:
            (target / f"{prefix}{path.name}").write_bytes(path.read_bytes())


def _check(folder: Path, target: Target, request: Request) -> None:
    """Build every network of the folder without memory, and account for each name and shape, as loading it for use does."""
    # Nobody asks for the revision of a folder that is only checked: its files need not be hashed for it.
    unread = {name: record_of(folder / name, "") for name in _files(folder)}
    write_provenance(folder, unread, {"like": request.like})
    if target.check is not None:
        target.check(folder, request)
        return
    load_components(folder, "meta")
    assert target.spec is not None
    if target.has_published_sizes and target.spec.unet is not None:
        _check_unet(folder, target.spec.unet, request)
    wanted = target.spec.params if target.has_published_sizes else None
    if wanted is not None and (params := params_of_family(wanted, folder / target.denoiser)) != wanted:
        raise ShapeMismatch(request.source, f"this is not {request.name}", _differences(params, wanted))


def _check_unet(folder: Path, wanted: UnetParams, request: Request) -> None:
    params = unet_params(Config(folder / "unet" / "config.json"))
    if params != wanted:
        raise ShapeMismatch(request.source, f"this is not {request.name}", _differences(params, wanted))


def _differences(params: object, wanted: Flux1Params | Flux2Params | UnetParams) -> list[str]:
    names = [field.name for field in fields(wanted) if getattr(params, field.name, None) != getattr(wanted, field.name)]
    return [f"{name} is {getattr(params, name, None)}, not {getattr(wanted, name)}" for name in names]


def record(folder: Path, request: Request, origin: Origin) -> None:
    """Make every file of a staged folder real, and write down where it came from."""
    (folder / PROVENANCE).unlink(missing_ok=True)
    records = settled(folder, origin.sha256)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts: dict[str, object] = {
        "name": request.name,
        "like": request.like,
        "source": request.source,
        "revision": origin.revision,
        "base": None if request.base is None else str(request.base),
        "swaps": {name: str(path) for name, path in request.swaps.items()},
        "licence": {"name": request.licence, "accepted_at": now if request.is_accepted else None},
        "imported_at": now,
    }
    write_provenance(folder, records, facts)
    write_provenance(folder, records, facts | {"fingerprint": fingerprint(folder)})


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
