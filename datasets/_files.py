"""Opens the images that a data set's lists name, and nothing outside the data set's folder."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from pathlib import Path

from datasets._paths import LINK, path_fault

MAX_BYTES = 256 * 2**20  # no photo is larger; a list must not make us read a disk image


class ImageError(Exception):
    """An image that cannot be used; the text says why and what to do."""


class ImageFiles:
    """Reads images below root/folder. Letter case, and whether accents are characters of their own, may differ between a list and the
    disk. Safe in threads."""

    def __init__(self, root: Path, folder: str = "") -> None:
        self._root = os.path.realpath(root)
        self._base = os.path.join(self._root, folder)
        self._directories: dict[str, str] = {}
        self._listings: dict[str, dict[str, str]] = {}

    def read(self, path: str) -> bytes:
        """The bytes of an image. Raises ImageError."""
        descriptor = self._open(path)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(f"{path} is not a regular file")
            if status.st_size > MAX_BYTES:
                raise ImageError(f"{path} holds {status.st_size} bytes, more than the {MAX_BYTES} that an image may have")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read()
        except OSError as failed:
            raise ImageError(f"{path} cannot be read: {failed.strerror}") from None
        finally:
            os.close(descriptor)

    def size(self, path: str) -> int:
        """Bytes of an image's file, -1 where it cannot be opened."""
        try:
            full = self._spelled(path)
            status = os.lstat(full)
            return os.stat(self._inside(os.path.realpath(full), path)).st_size if stat.S_ISLNK(status.st_mode) else status.st_size
        except (ImageError, OSError):
            return -1

    def located(self, path: str) -> str:
        """Where an image's file is on the disk, links followed, inside the root. Raises ImageError."""
        return self._inside(os.path.realpath(self._spelled(path)), path)

    def case_fault(self, path: str) -> str:
        """How the disk spells a path that differs in letter case alone, or an empty text. Raises ImageError."""
        parent, name = os.path.split(path)
        directory = self._directory(parent, path)
        found = os.path.join(directory, self._listing(directory).get(_folded(name), name))
        if os.path.exists(os.path.join(self._base, path)) or not os.path.exists(found):
            return ""
        return os.path.relpath(found, os.path.realpath(self._base))

    def _open(self, path: str) -> int:
        full = self._spelled(path)
        try:
            return os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as failed:
            if failed.errno != errno.ELOOP:
                raise ImageError(f"{path} cannot be opened: {failed.strerror}") from None
        real = self._inside(os.path.realpath(full), path)  # the file is a symbolic link; one that stays inside is followed
        try:
            return os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as failed:
            raise ImageError(f"{path} cannot be opened: {failed.strerror}") from None

    def _spelled(self, path: str) -> str:
        """The path on the disk of an image, its folder resolved and inside the root."""
        try:
            return self._found(path)
        except ImageError as failed:
            there = path.replace("\\", "/")
            if there == path or not self._is_file(there):
                raise
            raise ImageError(f"{path} is missing, but {there} is there: write / for \\ in the list") from failed

    def _is_file(self, path: str) -> bool:
        try:
            return os.path.isfile(self._inside(os.path.realpath(self._found(path)), path))
        except ImageError:
            return False

    def _found(self, path: str) -> str:
        if fault := path_fault(path):
            raise ImageError(fault)
        parent, name = os.path.split(path)
        directory = self._directory(parent, path)
        full = os.path.join(directory, name)
        if os.path.lexists(full):
            return full
        other = self._listing(directory).get(_folded(name))
        if other is None:
            raise ImageError(f"{path} is missing; fetch the images again, or take the line out of the list")
        return os.path.join(directory, other)

    def _directory(self, parent: str, path: str) -> str:
        if parent not in self._directories:
            real = os.path.realpath(os.path.join(self._base, parent))
            if not os.path.isdir(real):
                real = self._other_case(parent, path)
            self._directories[parent] = self._inside(real, path)
        return self._directories[parent]

    def _other_case(self, parent: str, path: str) -> str:
        current = self._inside(os.path.realpath(self._base), path)
        for part in filter(None, parent.split("/")):
            name = self._listing(current).get(_folded(part))
            if name is None:
                raise ImageError(f"{path} is missing; fetch the images again, or take the line out of the list")
            current = self._inside(os.path.realpath(os.path.join(current, name)), path)
        return current

    def _listing(self, directory: str) -> dict[str, str]:
        """Names of a folder by their folded spelling."""
        if directory not in self._listings:
            try:
                names = sorted(os.listdir(directory))
            except OSError:
                names = []
            self._listings[directory] = {_folded(name): name for name in names}
        return self._listings[directory]

    def _inside(self, real: str, path: str) -> str:
        if real != self._root and not real.startswith(self._root.rstrip(os.sep) + os.sep):
            raise ImageError(f"{path} {LINK}")
        return real


def _folded(name: str) -> str:
    """The same for spellings that differ in letter case, or in NFC and NFD, which archives from macOS mix up."""
    return unicodedata.normalize("NFC", name.casefold())
