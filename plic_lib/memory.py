"""One setting of the C library's allocator, for pictures of many megapixels."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # names of mallopt's options in malloc.h


def keep_freed_memory() -> bool:
    """Let this process keep large blocks that it frees, for the next tensor of that size.

    By default glibc hands each block of more than 32 MB back to the system, and every
    activation of a large picture is mapped and zeroed anew, page by page. That made a
    megapixel of a 2048 x 2048 picture 1.5 times as slow as one of 512 x 512. The command
    line calls this at its start; importing the library changes nothing.

    Returns whether the setting was made: Linux with glibc only.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
