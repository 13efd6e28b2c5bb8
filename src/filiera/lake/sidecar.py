"""Sidecars: the sorted key hashes of a batch, to find duplicates and conflicts without reading its rows."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filiera.lake.semantic import Lanes, RowHashes


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Key and value hashes of one batch, sorted by the first lane of the key."""

    lanes: npt.NDArray[np.uint64]  #: shape (rows, 4): key, key, value, value
    positions: npt.NDArray[np.int64]  #: position of each in the batch's objects

    @classmethod
    def of(cls, key: Lanes, value: Lanes) -> Sidecar:
        """Sort the hashes of a batch."""
        order = np.argsort(key[:, 0], kind="stable")
        return cls(np.concatenate([key, value], axis=1)[order], order.astype(np.int64))

    def to_bytes(self) -> bytes:
        """For a sealed object."""
        out = io.BytesIO()
        np.savez(out, lanes=self.lanes, positions=self.positions)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Sidecar:
        """From a sealed object."""
        with np.load(io.BytesIO(raw), allow_pickle=False) as data:
            return cls(data["lanes"], data["positions"])

    def match(self, hashes: RowHashes) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Per row of `hashes`: an equal row is here; a row of the same key with other values is here; its position."""
        if not len(self.lanes):
            nothing = np.zeros(len(hashes.key), bool)
            return nothing, nothing, np.full(len(hashes.key), -1)
        place = np.searchsorted(self.lanes[:, 0], hashes.key[:, 0])
        inside = place < len(self.lanes)
        found = self.lanes[np.where(inside, place, 0)]
        same_key = inside & np.all(found[:, :2] == hashes.key, axis=1)
        same_value = np.all(found[:, 2:] == hashes.value, axis=1)
        position = np.where(same_key, self.positions[np.where(inside, place, 0)], -1)
        return same_key & same_value, same_key & ~same_value, position
