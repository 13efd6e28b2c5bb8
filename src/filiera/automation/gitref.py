"""The code at a git ref: which commit it names, and what lies in it."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path

from filiera.dimensions.bundle import Bundle, make_bundle
from filiera.dimensions.context import code_bundle
from filiera.errors import NotFoundError, UnavailableError

TIMEOUT_S = 60


def commit_of(root: Path, ref: str) -> str:
    """The commit that a branch or tag names now.

    Raises:
        NotFoundError: no repository here, or no such ref in it.
        UnavailableError: git is not installed, or does not answer.
    """
    done = _git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise NotFoundError(
            "automation.ref", f"no commit {ref} in the project's repository", found=said, where="[automation] ref",
            next="`git branch` lists the branches",
        )  # fmt: skip
    return done.stdout.decode("ascii").strip()


def bundle_at(root: Path, commit: str) -> Bundle:
    """The project's code as it was committed, and the files that it declares, whatever lies in the folder now.

    Raises:
        CodeError: what the code declares is not there, or not written out.
        UnavailableError: git cannot read the commit.
    """
    done = _git(root, "archive", "--format=tar", commit)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UnavailableError("automation.commit", f"git cannot read commit {commit[:12]}", found=said)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tree = make_bundle((item.name, text) for item in tar.getmembers() if (text := _content(tar, item)) is not None)
    with tempfile.TemporaryDirectory() as folder:
        return code_bundle(tree.unpack(Path(folder)))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """A file's bytes, through links inside the commit; None for what is no file."""
    try:
        file = tar.extractfile(member)
    except KeyError:  # a link that leads out of the commit
        return None
    return file.read() if file is not None else None


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError("automation.git", "git does not answer", found=str(error)) from error
