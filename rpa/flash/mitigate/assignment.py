"""The linear assignment problem: who goes where, so that the sum of costs is least."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rpa.arch.jit import jit


def assign(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """cost: (n, n) finite, of giving place p to item i in [i, p]. Returns (n,): the item of each place.

    Shortest augmenting paths with potentials (Kuhn 1955, Munkres 1957, Jonker and Volgenant 1987), O(n^3). Of equally good assignments
    it is always the same one.
    """
    item_of = np.empty(len(cost), np.int64)
    _fill(np.ascontiguousarray(cost, np.float64), item_of)
    return item_of


@jit
def _fill(cost, item_of):
    """Items join one after the other; each takes the path of least reduced cost to a free place, along which others move on.

    Places are numbered from 1 here; place 0 is where a new item waits.
    """
    count = len(cost)
    item_price, place_price = np.zeros(count), np.zeros(count + 1)
    holder = np.full(count + 1, -1)
    for new in range(count):
        holder[0] = new
        least, before, done = np.full(count + 1, np.inf), np.zeros(count + 1, np.int64), np.zeros(count + 1, np.bool_)
        place = 0
        while holder[place] >= 0:
            done[place] = True
            item, step, nearest = holder[place], np.inf, 0
            for other in range(1, count + 1):
                if not done[other]:
                    reduced = cost[item, other - 1] - item_price[item] - place_price[other]
                    if reduced < least[other]:
                        least[other], before[other] = reduced, place
                    if least[other] < step:
                        step, nearest = least[other], other
            for other in range(count + 1):
                if done[other]:
                    item_price[holder[other]] += step
                    place_price[other] -= step
                else:
                    least[other] -= step
            place = nearest
        while place:
            holder[place] = holder[before[place]]
            place = before[place]
    item_of[:] = holder[1:]
