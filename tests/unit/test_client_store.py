"""What is kept of a login, how it is written down, and how little of it is believed when it is read again."""

import json
import traceback
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.client import AccessToken, Grant, MemoryStore, Secret, TokenKey
from pgbearer.client.store.record import RecordError, read_record, write_record

KEY = TokenKey("https://sso.test/realms/corp", "pgbearer-cli", "openid db:demo")
WHOLE = Grant(
    AccessToken("the.access.token", expires_at=4e9, scope="openid"),
    "pgbearer-device",
    Secret("the-refresh-token"),
    5e9,
    Secret("the.id.token"),
)
BARE = Grant(AccessToken("opaque"), "pgbearer-cli")


@pytest.mark.parametrize("grant", [WHOLE, BARE])
@pytest.mark.parametrize("key", [KEY, KEY._replace(scope=None)])
def test_what_is_written_is_read(grant: Grant, key: TokenKey) -> None:
    assert read_record(key, write_record(key, grant)) == grant
    again = read_record(key, write_record(key, grant)).access
    assert (again.expires_at, again.scope) == (grant.access.expires_at, grant.access.scope)


def changed(**members: Any) -> bytes:
    """The record of a login with these members; None takes one away."""
    record = json.loads(write_record(KEY, WHOLE)) | members
    return json.dumps({name: value for name, value in record.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        write_record(KEY, WHOLE)[:-20],
        write_record(KEY, WHOLE) * 2,
        changed(version=2),
        changed(version="1"),
        changed(version=...),
        changed(more="than we know"),
        changed(issuer="https://other.test"),
        changed(key_client_id="other"),
        changed(key_scope=None),
        changed(access_token=""),
        changed(access_token="not a token"),
        changed(access_token="x" * 70_000),
        changed(access_token=...),
        changed(expires_at="soon"),
        changed(expires_at=True),
        changed(refresh_token=""),
        changed(refresh_token="x" * 300_000),
        changed(id_token=7),
        changed(client_id=None),
    ],
)
def test_a_record_that_is_none_is_not_used(record: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        read_record(KEY, record)
    assert "token" not in str(caught.value)


@given(st.data())
def test_no_damage_gives_another_login(data: st.DataObject) -> None:
    """One byte changed: it is refused, or only a value differs that JSON itself cannot protect."""
    record = bytearray(write_record(KEY, WHOLE))
    record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    try:
        grant = read_record(KEY, bytes(record))
    except RecordError:
        return
    assert read_record(KEY, write_record(KEY, grant)) == grant


def test_a_record_of_a_newer_version_is_told_as_such() -> None:
    with pytest.raises(RecordError, match="not a login that this version"):
        read_record(KEY, changed(version=2))


@pytest.mark.parametrize("record", [changed(access_token="a secret token"), changed(refresh_token="")])
def test_no_token_in_a_traceback_with_locals(record: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        read_record(KEY, record)
    frames = traceback.walk_tb(caught.value.__traceback__)
    ours = (frame for frame in frames if "/client/" in frame[0].f_code.co_filename)
    report = "".join(traceback.StackSummary.extract(ours, capture_locals=True).format())
    assert "record.py" in report
    assert not any(secret in report for secret in ("a secret token", "the.id.token", "the-refresh-token"))


def test_the_memory_store() -> None:
    store = MemoryStore()
    assert (store.load(KEY), store.keys()) == (None, ())
    store.save(KEY, WHOLE)
    assert (store.load(KEY), store.keys()) == (WHOLE, (KEY,))
    assert store.load(KEY._replace(scope="more")) is None
    store.save(KEY, replace(WHOLE, refresh=None))
    assert store.load(KEY) == replace(WHOLE, refresh=None)
    store.remove(KEY)
    store.remove(KEY)
    assert store.load(KEY) is None


def test_a_key_has_one_lock_and_other_keys_have_others() -> None:
    store = MemoryStore()
    held = store.try_lock(KEY)
    assert held is not None
    assert store.try_lock(KEY) is None
    assert store.try_lock(KEY._replace(scope=None)) is not None
    held.release()
    again = store.try_lock(KEY)
    assert again is not None
    held.release()  # a second time: not the lock that somebody else has now
    assert store.try_lock(KEY) is None
