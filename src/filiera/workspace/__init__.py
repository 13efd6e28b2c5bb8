"""The workspace: every operation of a project, in one place; each file holds one group of them."""

from filiera.workspace.workspace import Workspace, key_file, local_principal

__all__ = ["Workspace", "key_file", "local_principal"]
