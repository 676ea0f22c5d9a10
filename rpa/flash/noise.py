"""Random numbers by counter: each is a pure function of a key (seed and stream), a counter (operation or row) and a line.

No generator has a state, so what is drawn does not depend on what else was drawn, in which order, in which batch or on which thread. The same
functions run compiled on scalars and, as plain twins, on arrays. Mixers: splitmix64 (Steele et al. 2014) and the 32-bit mixer "lowbias32"
(C. Wellons, public domain).

A word of 32 bits becomes a Gaussian by the sum of the 8 bytes of the word and of its product with an odd number, made straight by a cubic: over all
2^32 words the mean is 0, the variance 1, the kurtosis 3, the distribution function within 4.1e-4 of the normal one, and no value beyond 5.2.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import inner, plain
from rpa.flash.errors import FlashError

U32, U64, F32, I32 = np.uint32, np.uint64, np.float32, np.int32
GOLDEN64, GOLDEN32 = U64(0x9E3779B97F4A7C15), U32(0x9E3779B9)
_LINEAR, _CUBIC = F32(0.004681941794279669), F32(8.158837130653254e-10)
SEED_LIMIT = (1 << 64) - 1


def key(seed: int, *names: str | int) -> np.uint64:
    """The key of a stream: `seed` (0..2^64 - 1) and what it is for, say ("programming", macro)."""
    if type(seed) is not int or not 0 <= seed <= SEED_LIMIT:
        raise FlashError(f"Chip: `seed` is {seed!r}, must be an integer 0..2^64 - 1")
    return U64(int.from_bytes(sha256(repr((seed, *names)).encode()).digest()[:8], "little"))


@inner
def mix64(x):
    """A bijection of 64 bits."""
    x = U64((x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9))
    x = U64((x ^ (x >> U64(27))) * U64(0x94D049BB133111EB))
    return U64(x ^ (x >> U64(31)))


@inner
def mix32(x):
    """A bijection of 32 bits."""
    x = U32((x ^ (x >> U32(16))) * U32(0x7FEB352D))
    x = U32((x ^ (x >> U32(15))) * U32(0x846CA68B))
    return U32(x ^ (x >> U32(16)))


@inner
def counter_hash(key, counter):
    """64 bits of a key and a counter, of which :func:`hashed_line` makes the words of lines."""
    return mix64(U64(key + counter * GOLDEN64))


@inner
def hashed_line(high, low):
    """32 bits of a line; high: upper half of :func:`counter_hash`, low: its lower half plus the line times GOLDEN32."""
    return mix32(U32(mix32(low) ^ high))


@inner
def gaussian(word):
    """A standard normal number (float32) of a word (uint32). Whole-number sums first, so that every machine gives the same bits."""
    other = U32(word * U32(0x9E3779B1))
    other = U32(other ^ (other >> U32(15)))
    pairs = U32((word & U32(0x00FF00FF)) + ((word >> U32(8)) & U32(0x00FF00FF))
                + (other & U32(0x00FF00FF)) + ((other >> U32(8)) & U32(0x00FF00FF)))
    total = F32(I32((pairs & U32(0xFFFF)) + (pairs >> U32(16))) - I32(1020))
    return F32(total * F32(_LINEAR + F32(_CUBIC * F32(total * total))))


def words(key: np.uint64, counters: npt.ArrayLike, lines: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Words of 32 bits for counters (0..2^63 - 1) and lines (0..2^31 - 1) that broadcast."""
    hashes = np.asarray(plain(counter_hash)(np.array([key]), np.atleast_1d(np.asarray(counters)).astype(U64)))
    low, high = hashes.astype(U32), (hashes >> U64(32)).astype(U32)
    return plain(hashed_line)(high, low + np.atleast_1d(np.asarray(lines)).astype(U32) * GOLDEN32)


def normals(key: np.uint64, counters: npt.ArrayLike, lines: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Standard normal numbers for counters and lines that broadcast."""
    return plain(gaussian)(words(key, counters, lines))


def uniforms(key: np.uint64, counters: npt.ArrayLike, lines: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Numbers evenly spread over 0..1, ends excluded, for counters and lines that broadcast."""
    return (words(key, counters, lines).astype(np.float64) + 0.5) / (1 << 32)
