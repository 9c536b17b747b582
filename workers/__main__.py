"""python -m workers: one process that owns one device. Ties itself to its parent, then leaves the rest to workers.process."""

import argparse
from pathlib import Path

from app.core.config import set_default_variable
from app.core.parent_pipe import exit_with_parent


def main() -> None:
    """Run a worker; the process ends with its exit code."""
    arguments = _arguments()
    if arguments.parent_pipe is not None:
        exit_with_parent(arguments.parent_pipe)
    # torch's CPU threads wait for each other by spinning unless told to sleep before torch is loaded. On a busy machine they
    # spin while the one that they wait for has no core: 66 s for a picture that takes 5 s this way (docs/engine.md).
    set_default_variable("OMP_WAIT_POLICY", "PASSIVE")
    # Here, because importing torch takes seconds, in which the parent may die.
    from workers.process import run

    place = {"index": arguments.index, "num_beside": arguments.num_beside}
    run(arguments.data_dir, {name: value for name, value in place.items() if value is not None})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workers", description="Claims generations and makes their pictures."
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the embedded service (DARKROOM_DATA_DIR)")
    parser.add_argument(
        "--parent-pipe", type=int, metavar="FD", help="end at once when this pipe's other end is closed"
    )
    parser.add_argument("--index", type=int, help="number among this machine's workers (DARKROOM_WORKER__INDEX)")
    parser.add_argument("--num-beside", type=int, help="this machine's workers (DARKROOM_WORKER__NUM_BESIDE)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
