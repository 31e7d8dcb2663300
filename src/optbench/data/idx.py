"""IDX, the format of MNIST's files: raw or gzipped, bytes only."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optbench.checks import UserError

Bytes = NDArray[np.uint8]
GZIP = b"\x1f\x8b"
UBYTE = b"\x00\x00\x08"  # two zeros and the code of the element type; the number of dimensions follows


def read_idx(path: Path) -> Bytes:
    """Return the array in an IDX file.

    Args:
        path: The file, gzipped or not, whatever its name.

    Raises:
        UserError: The file cannot be read, is corrupt or is cut short.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, str(error)) from None
    if data[:3] != UBYTE or len(data) < 4 * (data[3] + 1):
        raise _unreadable(path, f"it starts with {data[:4].hex() or 'nothing'}")
    shape = np.frombuffer(data, ">u4", data[3], offset=4).tolist()
    start = 4 * (data[3] + 1)
    if len(data) - start != math.prod(shape):
        raise _unreadable(path, f"{len(data) - start} bytes of data where {math.prod(shape)} are announced")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def write_idx(path: Path, array: Bytes) -> None:
    """Write an array to an IDX file, gzipped where its name ends in `.gz`; the same array gives the same bytes."""
    data = UBYTE + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(f"{path} is no whole IDX file ({why}); remove it to download it anew, or replace it")
