"""Text that came from outside, made safe to show: a terminal obeys control characters, an eye obeys bidi ones."""

__all__ = ["plain"]

_SHOWN = 300


def plain(text: str, *, limit: int = _SHOWN) -> str:
    r"""Return `text` with every control, format (bidi, zero width) and separator character but the space escaped.

    Args:
        text: anything, from an issuer, a server or a database.
        limit: the most characters of `text` to keep; what is cut off is marked with ``...``.

    Returns:
        One line; a newline comes out as the two characters ``\n``. Pure; safe in threads and tasks.
    """
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(map(_escaped, text[:limit]))
    return shown + "..." if len(text) > limit else shown


def _escaped(character: str) -> str:
    if character.isprintable():  # none of the categories C* and Z* is, but for the space
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
