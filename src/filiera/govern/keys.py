"""The root key: a file outside the data directory, readable by its owner only.

Whoever loses it loses the lake, so `filiera init` prints recovery shares: any two of three restore the key.
Source of the sharing: Shamir, "How to share a secret", CACM 22 (1979) 612; arithmetic in GF(256) with the AES
polynomial (FIPS 197, section 4.2).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from filiera.errors import ConflictError, IntegrityError, NotFoundError

KEY_BYTES = 32
NONCE_BYTES = 12
SHARES = 3
NEEDED = 2


class RootKey:
    """Wraps other keys; never leaves the process."""

    __slots__ = ("_aead", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._aead = AESGCM(secret)

    def __repr__(self) -> str:
        return "RootKey(...)"

    def wrap(self, key: bytes, context: str) -> str:
        """Encrypt a key for `context`, as hex."""
        nonce = os.urandom(NONCE_BYTES)
        return (nonce + self._aead.encrypt(nonce, key, context.encode())).hex()

    def unwrap(self, wrapped: str, context: str) -> bytes:
        """The key again.

        Raises:
            IntegrityError: another root key, another context, or changed bytes.
        """
        raw = bytes.fromhex(wrapped)
        try:
            return self._aead.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode())
        except InvalidTag as error:
            raise IntegrityError(
                "key.wrong",
                "a key cannot be opened with this key file",
                found=context,
                next="use the key file of this project; `filiera key restore` makes it again from two recovery shares",
            ) from error

    def fingerprint(self, text: str, context: str) -> str:
        """A digest of a text that nobody without the key can guess from, equal for equal texts of one `context`."""
        own = hmac.digest(self._secret, f"filiera/fingerprint/{context}".encode(), "sha256")
        return hmac.digest(own, text.encode(), "sha256").hex()

    def shares(self, random_bytes: Callable[[int], bytes] = os.urandom) -> list[str]:
        """Three texts, any two of which restore the key."""
        slope = random_bytes(KEY_BYTES)
        return [_write_share(x, bytes(s ^ _times(a, x) for s, a in zip(self._secret, slope, strict=True)))
                for x in range(1, SHARES + 1)]  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the key file.

        Raises:
            ConflictError: there is one already; it is never overwritten.
        """
        _write(path, self._secret)


def create(path: Path) -> RootKey:
    """Make a key file.

    Raises:
        ConflictError: there is one already; it is never overwritten.
    """
    key = RootKey(os.urandom(KEY_BYTES))
    key.save(path)
    return key


def _write(path: Path, secret: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConflictError(
            "key.exists", f"there is a key file already: {path}", next="move it away if it is not the right one"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> RootKey:
    """Read a key file.

    Raises:
        NotFoundError: there is none.
        IntegrityError: others may read it, or it has not the right size.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        secret = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(
            "key.not_found",
            "the key file of this project is missing",
            expected=str(path),
            next="put it back, or `filiera key restore` makes it again from two recovery shares",
        ) from error
    if mode & 0o077:
        raise IntegrityError(
            "key.loose",
            "others than you may read the key file",
            expected="mode 0600",
            found=f"mode {mode:04o}",
            next=f"chmod 600 {path}",
            where=str(path),
        )
    if len(secret) != KEY_BYTES:
        raise IntegrityError(
            "key.size", "the key file is damaged", expected=f"{KEY_BYTES} bytes", found=str(len(secret))
        )
    return RootKey(secret)


def restore(first: str, second: str) -> RootKey:
    """The key from two different shares.

    Raises:
        IntegrityError: a share was mistyped, or both are the same.
    """
    (x1, y1), (x2, y2) = _read_share(first), _read_share(second)
    if x1 == x2:
        raise IntegrityError("key.same_share", "both shares are the same", expected="two different ones")
    # the line through both points, at zero
    w1, w2 = _times(x2, _inverse(x1 ^ x2)), _times(x1, _inverse(x1 ^ x2))
    return RootKey(bytes(_times(a, w1) ^ _times(b, w2) for a, b in zip(y1, y2, strict=True)))


def _write_share(x: int, y: bytes) -> str:
    raw = bytes([x]) + y
    text = base64.b32encode(raw + hashlib.sha256(raw).digest()[:4]).decode().rstrip("=")
    return "-".join(text[start : start + 6] for start in range(0, len(text), 6))


def _read_share(text: str) -> tuple[int, bytes]:
    plain = text.replace("-", "").replace(" ", "").upper()
    try:
        raw = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except ValueError as error:
        raise IntegrityError("key.share", "this is not a recovery share", next="check every letter") from error
    body, check = raw[:-4], raw[-4:]
    if len(body) != KEY_BYTES + 1 or hashlib.sha256(body).digest()[:4] != check:
        raise IntegrityError("key.share", "a recovery share was mistyped", next="check every letter")
    return body[0], body[1:]


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def _inverse(a: int) -> int:
    power = 1
    for _ in range(254):
        power = _times(power, a)
    return power
