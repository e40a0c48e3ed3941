"""Paths of lists are not trusted."""

from __future__ import annotations


def path_fault(path: str) -> str:
    """Why a path of a list is refused before anything is opened, or an empty text."""
    parts = path.replace("\\", "/").split("/")
    if not path or "\0" in path:
        return "the path is empty" if not path else f"{path!r} holds a zero byte"
    if path[0] in "/\\~" or path[1:2] == ":":
        return f"{path!r} is an absolute path; paths are relative to the data set's folder"
    if ".." in parts:
        return f"{path!r} leads out of the data set's folder"
    return ""
