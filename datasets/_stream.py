"""Reads JSON: a large object whose arrays are long, an element at a time, or a small file at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from datasets._schema import Problems

_CHUNK = 1 << 20  # characters
_BLANK = " \t\r\n"
_AFTER = tuple(f",:]}}{_BLANK}")  # what may follow a value


def elements(root: Path, file: str, problems: Problems) -> Iterator[tuple[str, int, Any]]:
    """(name, index, element) of every array of the object in a file, in the file's order; its other values are skipped.

    Anything that is no JSON object is fatal, where it turns up; elements before it have been handed out by then."""
    with open(root / file, encoding="utf-8-sig", errors="surrogateescape") as stream:
        text = _Text(stream)
        try:
            yield from _elements(text)
        except (ValueError, RecursionError) as failed:
            reason = failed.msg if isinstance(failed, json.JSONDecodeError) else said(failed)
            problems.fatal(file, text.line(), f"is no sound JSON: {reason}; the file may be cut off, fetch it again")


def whole(root: Path, file: str, problems: Problems) -> Any:
    """What a small JSON file holds. Anything that is no JSON is fatal."""
    try:
        return json.loads((root / file).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as failed:
        problems.fatal(file, getattr(failed, "lineno", 0), f"is no JSON: {said(failed)}")


def said(failed: Exception) -> str:
    """What is wrong with JSON, in the same words on every Python."""
    return "nested too deeply" if isinstance(failed, RecursionError) else str(failed) or type(failed).__name__


def _elements(text: _Text) -> Iterator[tuple[str, int, Any]]:
    text.take("{")
    while text.peek() != "}":
        name = text.value()
        text.take(":")
        if text.peek() == "[":
            text.take("[")
            index = 0
            while text.peek() != "]":
                yield str(name), index, text.value()
                index += 1
                if text.peek() != "]":
                    text.take(",")
            text.take("]")
        else:
            text.value()
        if text.peek() != "}":
            text.take(",")
    text.take("}")
    if text.peek():
        raise ValueError("something follows the object")


class _Text:
    """The unread part of a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._buffer, self._at, self._ended, self._lines = stream, "", 0, False, 0
        self._decode = json.JSONDecoder().raw_decode

    def line(self) -> int:
        """1-based number of the line that is being read."""
        return self._lines + self._buffer.count("\n", 0, self._at) + 1

    def peek(self) -> str:
        """The next character that is not blank, empty at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _BLANK:
                    return self._buffer[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, expected: str) -> None:
        """Goes past one character. Raises ValueError where another one stands there."""
        found = self.peek()
        if found != expected:
            raise ValueError(f"{found!r} where {expected!r} was expected" if found else f"ends where {expected!r} was expected")
        self._at += 1

    def value(self) -> Any:
        """The next value. Raises ValueError."""
        self.peek()
        while True:
            try:
                found, end = self._decode(self._buffer, self._at)
            except ValueError:
                if not self._more():
                    raise
                continue
            if self._buffer[end : end + 1] in _AFTER or not self._more():  # a number that the buffer cuts may go on: 1.5, 1.5e, 1.5e+1
                self._at = end
                return found

    def _more(self) -> bool:
        """Reads on, at least as much as is waiting, so that a long value is not decoded many times over."""
        waiting = len(self._buffer) - self._at
        chunk = "" if self._ended else self._stream.read(max(_CHUNK, waiting))
        if not chunk:
            self._ended = True
            return False
        self._lines += self._buffer.count("\n", 0, self._at)
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        return True
