"""python -m workers: one process that owns one device. Ties itself to its parent, then leaves the rest to workers.process."""

import argparse
import os
from pathlib import Path

from app.core.config import set_default_variable
from app.core.parent_pipe import exit_with_parent


def main() -> None:
    """Run a worker; the process ends with its exit code."""
    arguments = _arguments()
    if arguments.parent_pipe is not None:
        exit_with_parent(arguments.parent_pipe)
    # OpenMP threads that spin while they wait are ten times slower once another process wants a core; torch reads this once.
    set_default_variable("OMP_WAIT_POLICY", "PASSIVE")
    # torch's CPU threads wait for each other by spinning unless told to sleep before torch is loaded. On a busy machine they
    # spin while the one that they wait for has no core: 66 s for a picture that takes 5 s this way (docs/engine.md).
    os.putenv("OMP_WAIT_POLICY", "passive")
    # Here, because importing torch takes seconds, in which the parent may die.
    from workers.process import run

    run(arguments.data_dir)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workers", description="Claims generations and makes their pictures."
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the embedded service (DARKROOM_DATA_DIR)")
    parser.add_argument(
        "--parent-pipe", type=int, metavar="FD", help="end at once when this pipe's other end is closed"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
