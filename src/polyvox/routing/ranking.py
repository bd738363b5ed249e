"""Which of many is the least, and which by weight: in steps that grow with the logarithm of many."""

import heapq
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Ranking", "Weights"]

_T = TypeVar("_T", bound=Hashable)


class Ranking(Generic[_T]):
    """Items by rank, the least first; of equal ranks the one that was put there first.

    A heap in which entries that no longer hold stay until they come up, or are half of it.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Any, int, _T]] = []
        self._entries: dict[_T, tuple[Any, int, _T]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, item: _T, rank: Any) -> None:
        """The item has this rank from now on; without a change it keeps its place among its equals."""
        entry = self._entries.get(item)
        if entry is not None and entry[0] == rank:
            return
        self._count += 1
        self._entries[item] = entry = (rank, self._count, item)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + 16:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)

    def drop(self, item: _T) -> None:
        """The item is not among them any more, if it was."""
        self._entries.pop(item, None)

    def least(self) -> tuple[Any, _T] | None:
        """The least rank and its item; None if there is none."""
        heap = self._heap
        while heap:
            rank, _, item = entry = heap[0]
            if self._entries.get(item) is entry:
                return rank, item
            heapq.heappop(heap)
        return None


class Weights:
    """Whole numbers at places, and which place a point of their sum falls on (a Fenwick tree)."""

    def __init__(self) -> None:
        self.total = 0
        self._sums = [0]  # _sums[i]: of the (i & -i) weights up to the i-th, counted from 1
        self._weights: list[int] = []

    def append(self, weight: int) -> int:
        """A new place at the end; returns its number, counted from 0."""
        node = len(self._sums)
        below, width = node - 1, node & -node
        whole = weight
        while below > node - width:
            whole += self._sums[below]
            below -= below & -below
        self._sums.append(whole)
        self._weights.append(weight)
        self.total += weight
        return node - 1

    def set(self, place: int, weight: int) -> None:
        """Change the weight at a place."""
        change = weight - self._weights[place]
        self._weights[place] = weight
        self.total += change
        node = place + 1
        while node < len(self._sums):
            self._sums[node] += change
            node += node & -node

    def at(self, point: int) -> int:
        """The place whose part of the sum holds the point, which is at least 0 and below ``total``."""
        node, step = 0, 1 << (len(self._weights).bit_length())
        while step:
            further = node + step
            if further < len(self._sums) and self._sums[further] <= point:
                node = further
                point -= self._sums[further]
            step >>= 1
        return node
