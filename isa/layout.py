"""How the rows of a tensor lie in its buffer when they do not simply follow each other: borders, pitches, alignment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Layout:
    """Places of a tensor's innermost rows. A row is contiguous; what no row covers is `fill`, or `words` beyond the program's care."""

    strides: tuple[int, ...]
    """Words from one index to the next, for every dimension but the innermost."""
    offset: int
    """Words from the start of the buffer to element 0."""
    words: int
    """Words of the whole buffer."""
    fill: int = 0
    """The 16-bit word that lies between the rows before the first cycle."""

    def problem(self, shape: tuple[int, ...], row_words: int) -> str | None:
        """Say why rows of `row_words` words cannot lie like this; None if they can."""
        if len(self.strides) != len(shape) - 1:
            return f"{len(self.strides)} strides, must be {len(shape) - 1}: one for every dimension but the innermost"
        if min((*self.strides, self.offset, self.fill)) < 0 or self.fill > 0xFFFF:
            return f"strides {self.strides}, offset {self.offset} and fill {self.fill} must not be negative, fill at most 65535"
        end = row_words
        for stride, size in sorted(zip(self.strides, shape[:-1], strict=True)):
            if size > 1 and stride < end:
                return f"a stride of {stride} words, but what it steps over takes {end}: the rows overlap"
            end += (size - 1) * stride
        if self.offset + end > self.words:
            return f"{self.words} words, but the last element ends at word {self.offset + end}"
        return None

    def rows(self, shape: tuple[int, ...]) -> Iterator[int]:
        """Words from the start of the buffer to every innermost row, in order."""
        for index in product(*map(range, shape[:-1])):
            yield self.offset + sum(i * stride for i, stride in zip(index, self.strides, strict=True))


def contiguous(shape: tuple[int, ...], row_words: int) -> Layout:
    """The layout of a tensor whose declaration says nothing of it."""
    strides, step = [], row_words
    for size in reversed(shape[:-1]):
        strides.append(step)
        step *= size
    return Layout(tuple(reversed(strides)), 0, step)
