"""The code at a git ref: which commit it names, and what lies in it."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from filiera.dimensions.bundle import LOCKS, SUFFIXES, Bundle, code_files, collect_bundle, make_bundle
from filiera.dimensions.declared import declarations, declared_files
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
    """The project's code and the files that it declares as they were committed, whatever lies in the folder now.

    Raises:
        CodeError: a declared file is not in the commit.
        UnavailableError: git cannot read the commit.
    """
    done = _git(root, "archive", "--format=tar", commit)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UnavailableError("automation.commit", f"git cannot read commit {commit[:12]}", found=said)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        members = [member for member in tar.getmembers() if not _is_hidden(member.name)]
        code = make_bundle(_contents(tar, [member for member in members if _is_code(member.name)]))
        with tempfile.TemporaryDirectory() as scratch:
            folder = code.unpack(Path(scratch))
            patterns = declarations(folder, code_files(folder)).files
            if not patterns:
                return code
            for name, text in _contents(tar, [member for member in members if not _is_code(member.name)]):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(text)
            files = declared_files(folder, patterns).values()
            return collect_bundle(folder, [path for fitting in files for path in fitting])


def _contents(tar: tarfile.TarFile, members: Iterable[tarfile.TarInfo]) -> list[tuple[str, bytes]]:
    return [(member.name, text) for member in members if (text := _content(tar, member)) is not None]


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """A file's bytes, through links inside the commit; None for what is no file."""
    try:
        file = tar.extractfile(member)
    except KeyError:  # a link that leads out of the commit
        return None
    return file.read() if file is not None else None


def _is_hidden(name: str) -> bool:
    return any(
        part.startswith(".") or part in ("__pycache__", "node_modules") for part in PurePosixPath(name).parts[:-1]
    )


def _is_code(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix in SUFFIXES or path.name in LOCKS


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError("automation.git", "git does not answer", found=str(error)) from error
