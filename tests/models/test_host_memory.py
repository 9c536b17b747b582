"""Freed buffers are kept: the second use of as large a buffer touches no new page."""

import subprocess
import sys

PROGRAM = """
import ctypes, resource
from models.host_memory import keep_freed_memory

kept, libc, size = keep_freed_memory(), ctypes.CDLL(None), 64 * 2**20
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes, libc.memset.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def pages_touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffer = libc.malloc(size)
    libc.memset(buffer, 1, size)
    libc.free(buffer)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages_touched()
print(int(kept), pages_touched())
"""


def test_a_buffer_that_was_freed_is_used_again() -> None:
    kept, pages = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    ).stdout.split()
    assert kept == "0" or int(pages) < 100
