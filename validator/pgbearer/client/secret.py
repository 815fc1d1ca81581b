"""Text that must not be seen: a refresh token, a client's secret, a signed assertion."""

import hmac
from typing import Final, Never

__all__ = ["Secret"]

_MOST: Final = 256 * 1024


class Secret:
    """A secret text that never shows itself. Immutable; safe to share between threads and tasks.

    Args:
        text: the secret, exactly as it was given.

    Raises:
        ValueError: it is empty, or longer than 256 KiB; the message does not repeat it.
    """

    __slots__ = ("_text",)

    _text: str

    def __init__(self, text: str) -> None:
        length = len(text)
        object.__setattr__(self, "_text", text if 0 < length <= _MOST else "")
        del text  # a traceback that shows locals would show it
        if not self._text:
            raise ValueError(f"not a secret: {length} characters")

    def reveal(self) -> str:
        """Return the text. Call it where it is sent; keep the result in no variable that lives on."""
        return self._text

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # in a set or as a key its hash would be around

    def __repr__(self) -> str:
        return f"<Secret of {len(self._text)} characters>"

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is not pickled: the result would be the secret in the clear")
