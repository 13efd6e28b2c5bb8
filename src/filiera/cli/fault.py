"""An error that nobody foresaw: one line for the person, the traceback in a file for whoever mends it."""

from __future__ import annotations

import errno
import os
import tempfile
import time
import traceback
from pathlib import Path

import click

from filiera.errors import FilieraError, NoSpaceError, NotFoundError, WorkError
from filiera.places import STATE_FOLDER, find_root

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEXT_LETTERS = 200  #: of an unforeseen error, in its one line


def told(error: Exception, project: str | None) -> FilieraError:
    """The error as a sentence; its traceback is written to a file that only its owner may read.

    Args:
        error: that nobody caught.
        project: `--project`, as it was given.
    """
    words = " ".join(str(error).split())[:_TEXT_LETTERS]
    if isinstance(error, OSError) and error.errno in _FULL:
        return NoSpaceError("disk.full", "the disk is full", found=words, next="free some space and run it again")
    place = _kept(error, project)
    if isinstance(error, OSError):
        message, advice = "a file or folder could not be used", "mend that and run it again"
    else:
        message, advice = "filiera met an error that nobody foresaw", "run it again, or report it with this file"
    kind = type(error).__name__
    return WorkError("cli.unforeseen", message, found=f"{kind}: {words}" if words else kind, next=f"{advice}: {place}")


def _kept(error: Exception, project: str | None) -> str:
    """Where the traceback lies: in the project's state folder, else in the temporary folder."""
    text = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n" + "".join(traceback.format_exception(error))
    name = f"error-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.log"
    for folder in (*_state(project), Path(tempfile.gettempdir())):
        try:
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                os.write(descriptor, text.encode(errors="backslashreplace"))
            finally:
                os.close(descriptor)
        except OSError:
            continue  # the next folder
        return click.format_filename(str(folder / name))
    return "the traceback could not be written anywhere"


def _state(project: str | None) -> list[Path]:
    try:
        folder = find_root(Path(project or ".").resolve()) / STATE_FOLDER
    except (NotFoundError, OSError, RuntimeError):
        return []
    return [folder] if folder.is_dir() else []
