"""Paths of lists are not trusted."""

from __future__ import annotations

from pathlib import Path

LINK = "leads out of the data set's folder through a symbolic link; put the files themselves there"


def path_fault(path: str) -> str:
    """Why a path of a list is refused before anything is opened, or an empty text."""
    parts = path.replace("\\", "/").split("/")
    if not path or "\0" in path:
        return "the path is empty" if not path else f"{path!r} holds a zero byte"
    if path[0] in "/\\~" or path[1:2] == ":":
        return f"{path!r} is an absolute path; paths are relative to the data set's folder"
    if ".." in parts:
        return f"{path!r} leads out of the data set's folder"
    try:
        path.encode("utf-8", "surrogateescape")  # bytes that are no UTF-8 are allowed, half a character out of JSON is not
    except UnicodeEncodeError:
        return f"{path!r} holds half a character, which no file's name can"
    return ""


def leads_out(root: Path, name: str) -> bool:
    """Whether a file or folder under root lies elsewhere, by a symbolic link; root itself may be one."""
    return not (root / name).resolve().is_relative_to(root.resolve())
