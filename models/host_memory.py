"""Memory of the host: what the C library does with buffers that are freed."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""


def keep_freed_memory(most_bytes: int = 2**30) -> bool:
    """Have the C library keep freed buffers for the next operation instead of giving them back to the system.

    A network frees and allocates the same buffers in every layer. By default glibc gives large ones back at once, and the system
    zeroes every page of them again when they are next touched: a tenth of a step on a CPU. Call it once, at the start of a process
    that runs networks, before its threads; the process keeps the most that it needed, as far as most_bytes.

    Args:
        most_bytes: beyond which memory is given back, of one buffer and of all.

    Returns:
        Whether the C library has such settings; elsewhere nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc: macOS, musl, Windows
        return False
    settings = {M_MMAP_THRESHOLD: most_bytes, M_TRIM_THRESHOLD: most_bytes, M_ARENA_MAX: 1}
    done = [mallopt(parameter, value) for parameter, value in settings.items()]
    return done == [1] * len(settings)
