"""References to files, and steps as commands."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def reference(path: Path) -> str:
    """The path and the digest of what is there."""
    with path.open("rb") as file:
        return f"{path}#{hashlib.file_digest(file, 'blake2b').hexdigest()[:32]}"


def path_of(text: str) -> Path:
    """Of a reference, or of a bare path."""
    return Path(text.split("#")[0])


def array(text: str) -> Any:
    """The array that a reference names."""
    return np.load(path_of(text))


def kept(folder: str, name: str, content: Any) -> str:
    """Write an array or bytes, and give the reference."""
    path = Path(folder, name)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    return reference(path)


def command(step: Callable[..., str]) -> None:
    """Run a step with the arguments of the command line; those that look like numbers are numbers."""
    step(*(float(word) if word.replace(".", "").isdigit() else word for word in sys.argv[1:]))
