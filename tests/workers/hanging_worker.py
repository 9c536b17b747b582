"""A worker whose first step never ends: python -m tests.workers.hanging_worker DATA_DIR."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from app.core.config import load_settings
from tests.fixtures.accounts import NETWORK
from tests.workers.engine.fake_network import FakeNetwork
from workers.engine.row import Denoising
from workers.networks import LoadedNetworks
from workers.process import serve


class HangingNetwork(FakeNetwork):
    """As a kernel that waits for what never comes."""

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        threading.Event().wait()
        raise AssertionError("nobody sets it")


if __name__ == "__main__":
    serve(load_settings(data_dir=Path(sys.argv[1])), lambda: LoadedNetworks({NETWORK: HangingNetwork(NETWORK)}))
