"""Whether more came than one answer: on a kept connection it would be taken for the answer to the next question.

httpcore reads on where the last answer ended (its 1.0.9; `Connection: close` and bytes that are still in the socket it
does see). So what is asked next, perhaps about another person, would be answered by whoever can append to an answer.
"""

import ssl
from operator import attrgetter
from typing import Final

from pgbearer.http.bare import httpx
from pgbearer.http.fault import Fault, FetchError

__all__ = ["require_nothing_more"]

_PARSER: Final = attrgetter("_stream._httpcore_stream._stream._connection._h11_state")
"""From httpx's stream through httpcore's to the h11.Connection."""


async def require_nothing_more(response: httpx.Response, *, url: str) -> None:
    """To be asked once the body is read to its end, and before the connection is given back.

    A connection that cannot be looked into is closed: that costs the next question a handshake, and nothing else.

    Raises:
        FetchError: more came; the connection is closed, and the answer is none.
    """
    stream = response.extensions["network_stream"]
    tls = stream.get_extra_info("ssl_object")
    parsed = _behind_the_answer(response)
    more = bool(parsed) or (tls is not None and _in_the_next_record(tls))
    if more or parsed is None:
        await stream.aclose()
    if more:
        raise FetchError(Fault.PROTOCOL, "answered more than it was asked", url=url)


def _behind_the_answer(response: httpx.Response) -> bytes | None:
    """What the parser has left over; None if it cannot be reached: neither httpx nor httpcore show it."""
    try:
        parser = _PARSER(response.stream)
    except AttributeError:
        return None
    data: bytes = parser.trailing_data[0]
    return data


def _in_the_next_record(tls: ssl.SSLObject) -> bool:
    """Whether there is plaintext that was received and not read yet."""
    try:
        return bool(tls.read(1))
    except ssl.SSLError:  # "come back later"; or the server closes, which the connection sees for itself
        return False
