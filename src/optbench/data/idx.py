"""IDX, the format of MNIST's files, raw or gzipped."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optbench.checks import UserError
from optbench.data.module import Array

GZIP = b"\x1f\x8b"
TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""numpy's types by the code in a file's third byte; two zeros stand before it and the number of dimensions follows."""
UBYTE = b"\x00\x00\x08"


def read_idx(path: Path) -> Array:
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
    if data[:2] != b"\x00\x00" or len(data) < 4 or data[2] not in TYPES or len(data) < 4 * (data[3] + 1):
        raise _unreadable(path, f"it starts with {data[:4].hex() or 'nothing'}")
    shape = np.frombuffer(data, ">u4", data[3], offset=4).tolist()
    start = 4 * (data[3] + 1)
    kind = np.dtype(TYPES[data[2]])
    if len(data) - start != math.prod(shape) * kind.itemsize:
        announced = math.prod(shape) * kind.itemsize
        raise _unreadable(path, f"{len(data) - start} bytes of data where {announced} are announced")
    return np.frombuffer(data, kind, offset=start).reshape(shape)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write bytes to an IDX file, gzipped where its name ends in `.gz`; the same array gives the same bytes."""
    data = UBYTE + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(f"{path} is no whole IDX file ({why}); remove it to download it anew, or replace it")
