"""The installed libraries, looked at once: they are the same between two edits."""

from __future__ import annotations

import pytest

from filiera.runner import describe


def remember(patch: pytest.MonkeyPatch) -> None:
    """List the installed libraries and what they require once for all edits."""
    installed, required = describe.installed(), describe.required()
    patch.setattr(describe, "installed", lambda: installed)
    patch.setattr(describe, "required", lambda: required)
