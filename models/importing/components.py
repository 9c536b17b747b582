"""One component of a pipeline's folder, brought in from a folder or file of its own: configuration, tokenizer files and weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.checkpoints import adapter_folder, autoencoder, controlnet, flux1, flux2, image_adapter, redux, unet
from models.checkpoints.autoencoder_config import autoencoder_config, autoencoder_params
from models.checkpoints.config import MAX_BYTES, Config, write_object
from models.checkpoints.controlnet_config import controlnet_config
from models.checkpoints.detect import Detected, Kind, Naming, autoencoder_in, detect_tensors
from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.autoencoder import diffusers_names, single_file_names
from models.checkpoints.keymaps.controlnet import diffusers_controlnet
from models.checkpoints.keymaps.flux1 import flux1 as flux1_names
from models.checkpoints.keymaps.flux2 import FLUX2
from models.checkpoints.keymaps.native import native
from models.checkpoints.shapes import Shapes
from models.checkpoints.single_file import load_single_file
from models.checkpoints.streamed import Planned, write_component
from models.errors import MalformedConfig
from models.flow.flux1 import Flux1Params
from models.flow.flux2 import Flux2Params
from models.importing import stable_diffusion
from models.importing.errors import ImportRefused
from models.importing.staging import point_at
from models.importing.weights import (
    SAFE_SUFFIX,
    found_files,
    has_bytes,
    kept,
    mapped,
    other_files,
    safe_files,
    single_file,
)
from models.vae.autoencoder_flux1 import AutoencoderFlux1Params

STEMS: Mapping[str, str] = {
    "transformer": flux1.STEM,
    "unet": unet.STEM,
    "controlnet": controlnet.STEM,
    "vae": autoencoder.STEM,
    "image_embedder": redux.STEM,
    "image_adapter": image_adapter.STEM,
    "text_encoder": "model",
    "text_encoder_2": "model",
    "image_encoder": "model",
}
"""Name of the weight file, by component; the others have no weights."""
SMALL_SUFFIXES = (".json", ".txt", ".model", ".jinja")
LARGE_TEXTS = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model", "tekken.json")
MAX_TEXT_BYTES = 64 * 2**20
"""Of the files of a tokenizer."""
SD_SCALE, SDXL_SCALE = 0.18215, 0.13025
"""Of the latents of the published autoencoders, whose files do not tell it."""
Begin = Callable[[str, int | None], None]


@dataclass(frozen=True)
class Workplace:
    """Where components are put together: the staged folder, room for what is thrown away, and who is told of each stage."""

    folder: Path
    scratch: Path
    begin: Begin


def bring(component: str, source: Path, place: Workplace, pattern: Path | None = None) -> None:
    """Put a component into the staged folder.

    Args:
        component: its subfolder there.
        source: a component's folder, or a file of weights whose configuration follows from its tensors.
        place: where it goes.
        pattern: folder of the component that a file takes the place of; it tells what no shape of a tensor does.

    Raises:
        CheckpointError: a file is missing, damaged, hostile, or something else than this component.
        ImportRefused: it is not clear which weights are meant.
    """
    stem = STEMS.get(component)
    if source.is_dir() and (stem is None or (source / "config.json").is_file()):
        _bring_small_files(source, place.folder / component)
        if stem is not None:
            _bring_weights(source, place.folder / component, stem, place)
    elif stem is None:
        raise ImportRefused(f"{source} is no folder with the files of a {component}")
    else:
        _bring_file(component, single_file(source), place, pattern)


def _bring_small_files(source: Path, target: Path) -> None:
    """Only data, never code: a component's folder may hold anything."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.suffix not in SMALL_SUFFIXES or path.name.endswith(".index.json") or not path.is_file():
            continue
        limit = MAX_TEXT_BYTES if path.name in LARGE_TEXTS else MAX_BYTES
        with path.open("rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise MalformedConfig(f"{path} has more than {limit} bytes")
        (target / path.name).write_bytes(content)


def _bring_weights(source: Path, target: Path, stem: str, place: Workplace) -> None:
    paths = found_files(source, stem)
    if paths is not None:
        files = TensorFiles.of_component(source, stem)
        if not has_bytes(files):
            for path in paths:
                point_at(path, target / path.name)
            return
    else:
        files = TensorFiles.of_files(source, safe_files(other_files(source), place.scratch, place.begin))
    _write(target, stem, kept(files), place)


def _write(target: Path, stem: str, planned: list[Planned], place: Workplace) -> None:
    place.begin(f"writing {target.name}", sum(one.num_bytes for one in planned))
    write_component(target, stem, planned)


def _bring_file(component: str, source: Path, place: Workplace, pattern: Path | None) -> None:
    (files,) = safe_files([source], place.scratch, place.begin)
    target = place.folder / component
    tensors = TensorFiles.of_file(files)
    found = detect_tensors(tensors)
    converter = CONVERTERS.get((component, found.kind))
    if converter is None:
        raise ImportRefused(f"{source} is a {found.kind}; what is wanted here is a {_wanted(component)}")
    config, planned = converter(files, found, pattern)
    write_object(target / "config.json", config)
    if found.naming is Naming.DIFFUSERS and not has_bytes(tensors):
        _keep_whole(files, target / f"{STEMS[component]}{SAFE_SUFFIX}", place)
    else:
        _write(target, STEMS[component], planned, place)


def _keep_whole(source: Path, target: Path, place: Workplace) -> None:
    """A file of ours is moved, anybody else's is only pointed at."""
    if source.is_relative_to(place.scratch):
        source.rename(target)
    else:
        point_at(source, target)


def _wanted(component: str) -> str:
    kinds = [kind for name, kind in CONVERTERS if name == component]
    return " or a ".join(kinds) if kinds else f"folder of a {component}, with its config.json"


Converted = tuple[dict[str, object], list[Planned]]


def _transformer(path: Path, found: Detected, pattern: Path | None) -> Converted:
    like = _pattern_params(pattern, found)
    # The rotary axes and their base leave no trace in the tensors: where there is a folder to go by, they are that folder's.
    network = load_single_file(
        path, "meta", axes_dim=like.axes_dim if like else None, theta=like.theta if like else None
    )
    params, files = network.params, TensorFiles.of_file(path)
    if isinstance(params, Flux1Params):
        config, names = flux1.transformer_config(params), flux1_names(params.hidden_size, params.mlp_size)
    else:
        config, names = flux2.transformer_config(params), FLUX2
    source = native(found.prefix) if found.naming is Naming.NATIVE else names
    return config, mapped(files, source, names, network.state_dict())


def _pattern_params(pattern: Path | None, found: Detected) -> Flux1Params | Flux2Params | None:
    """Sizes of the transformer in a folder, when it is one of the same family whose heads are as wide."""
    if pattern is None or found.params is None:
        return None
    params = params_of_family(found.params, pattern)
    return params if params is not None and params.head_dim == found.params.head_dim else None


def params_of_family(family: Flux1Params | Flux2Params, folder: Path) -> Flux1Params | Flux2Params | None:
    """Sizes of the transformer in a folder, if it is of the same family as these."""
    is_flux1, config = isinstance(family, Flux1Params), Config(folder / "config.json")
    if config.text("_class_name") != (flux1.TRANSFORMER_CLASS if is_flux1 else flux2.TRANSFORMER_CLASS):
        return None
    return flux1.transformer_params(config) if is_flux1 else flux2.transformer_params(config)


def _autoencoder(path: Path, found: Detected, pattern: Path | None, scale: float | None = None) -> Converted:
    if found.naming is Naming.DIFFUSERS:
        raise ImportRefused(f"{path} has Diffusers' names; give the folder that holds its config.json as well")
    like = autoencoder_params(Config(pattern / "config.json")) if pattern is not None else AutoencoderFlux1Params()
    is_same = isinstance(like, AutoencoderFlux1Params) and like.z_channels == found.sizes["z_channels"]
    usual = None if scale is None else (scale, 0.0)
    network = autoencoder.load_single_file(
        path,
        "meta",
        scaling=(like.scale, like.shift) if isinstance(like, AutoencoderFlux1Params) and is_same else usual,
        norm_num_groups=like.norm_num_groups,
    )
    files, state = TensorFiles.of_file(path), network.state_dict()
    source = single_file_names(state, found.prefix, files.names())
    names = diffusers_names(len(network.params.block_channels))
    return autoencoder_config(network.params), mapped(files, source, names, state)


def _autoencoder_within(path: Path, found: Detected, pattern: Path | None) -> Converted:
    """The autoencoder beside a UNet; that says which scale its latents have where there is no folder to go by."""
    files = TensorFiles.of_file(path)
    within = autoencoder_in(Shapes(path, {name: files.shape(name) for name in files.names()}))
    if within is None or found.unet is None:
        raise ImportRefused(f"{path} holds no autoencoder")
    return _autoencoder(path, within, pattern, SDXL_SCALE if found.unet.added is not None else SD_SCALE)


def _redux(path: Path, found: Detected, pattern: Path | None) -> Converted:
    embedder = redux.load_redux(path, "meta")
    config: dict[str, object] = {
        "_class_name": redux.EMBEDDER_CLASS,
        "redux_dim": embedder.params.in_dim,
        "txt_in_features": embedder.params.context_in_dim,
    }
    return config, kept(TensorFiles.of_file(path))


def _controlnet(path: Path, found: Detected, _pattern: Path | None) -> Converted:
    network = controlnet.load_controlnet_file(path, "meta")
    params = network.control_params
    source = controlnet.controlnet_names(found, params)
    target = diffusers_controlnet(linear_projection=params.unet.linear_projection)
    return controlnet_config(params), mapped(TensorFiles.of_file(path), source, target, network.state_dict())


def _image_adapter(path: Path, _found: Detected, _pattern: Path | None) -> Converted:
    image_adapter.load_image_adapter_file(path, "meta")
    names = adapter_folder.ADAPTER_COMPONENTS[adapter_folder.ADAPTER]
    return {"_class_name": names[0]}, kept(TensorFiles.of_file(path))


CONVERTERS: Mapping[tuple[str, Kind], Callable[[Path, Detected, Path | None], Converted]] = {
    ("transformer", Kind.FLUX1): _transformer,
    ("transformer", Kind.FLUX2): _transformer,
    ("vae", Kind.FLUX1_AUTOENCODER): _autoencoder,
    ("vae", Kind.FLUX2_AUTOENCODER): _autoencoder,
    ("image_embedder", Kind.REDUX): _redux,
    ("controlnet", Kind.CONTROLNET): _controlnet,
    ("image_adapter", Kind.IMAGE_ADAPTER): _image_adapter,
    ("vae", Kind.SD_AUTOENCODER): _autoencoder,
    ("unet", Kind.UNET): stable_diffusion.unet,
    ("vae", Kind.UNET): _autoencoder_within,
    ("text_encoder", Kind.UNET): stable_diffusion.first_clip,
    ("text_encoder_2", Kind.UNET): stable_diffusion.second_clip,
}
"""How a file without a configuration becomes a component."""
