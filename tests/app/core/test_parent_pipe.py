"""A child that watches its parent's pipe ends when the parent does."""

import os
import subprocess
import sys

CHILD = """
import sys, threading
from app.core.parent_pipe import exit_with_parent
exit_with_parent(int(sys.argv[1]))
print("watching", flush=True)
threading.Event().wait(60)
"""


def test_a_child_ends_when_the_last_writer_of_its_pipe_is_gone() -> None:
    reading, writing = os.pipe()
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(reading)], pass_fds=(reading,), stdout=subprocess.PIPE)
    os.close(reading)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"watching\n"
        assert child.poll() is None
        os.close(writing)
        assert child.wait(timeout=10) == 1
