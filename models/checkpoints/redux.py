"""FLUX.1 Redux' embedder: Diffusers' folder, or Black Forest Labs' single file; the names are the same in both."""

from pathlib import Path

import torch

from models.checkpoints.config import Config
from models.checkpoints.files import TensorFiles
from models.checkpoints.keymap import Same, Table
from models.checkpoints.load import load_network
from models.errors import MissingKeys, ShapeMismatch
from models.vision.redux import ReduxEmbedder, ReduxParams

STEM = "diffusion_pytorch_model"
EMBEDDER_CLASS = "ReduxImageEncoder"
TABLE: Table = (Same("redux_up.{w}", "redux_up.{w}"), Same("redux_down.{w}", "redux_down.{w}"))


def load_redux(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ReduxEmbedder:
    """Load the embedder.

    Args:
        path: folder of Diffusers' ReduxImageEncoder, or a file such as flux1-redux-dev.safetensors.
        device: where it shall live.
        dtype: of its parameters.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    if path.is_dir():
        params, files = _params(Config(path / "config.json")), TensorFiles.of_component(path, STEM)
    else:
        files = TensorFiles.of_file(path)
        params = _inferred(files)
    return load_network(lambda: ReduxEmbedder(params), files, TABLE, device=torch.device(device), dtype=dtype)


def _params(config: Config) -> ReduxParams:
    config.require("_class_name", EMBEDDER_CLASS)
    default = ReduxParams()
    params = ReduxParams(
        in_dim=config.integer("redux_dim", default.in_dim),
        context_in_dim=config.integer("txt_in_features", default.context_in_dim),
    )
    config.finish()
    return params


def _inferred(files: TensorFiles) -> ReduxParams:
    if "redux_up.weight" not in files.names():
        raise MissingKeys(files.where, "missing keys", ["redux_up.weight"])
    shape = files.shape("redux_up.weight")
    if len(shape) != 2 or shape[0] % 3:
        raise ShapeMismatch(files.where, "wrong shapes", [f"redux_up.weight is {list(shape)}, not 3 n x m"])
    return ReduxParams(in_dim=shape[1], context_in_dim=shape[0] // 3)
