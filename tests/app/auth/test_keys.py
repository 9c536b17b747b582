"""API keys: shape, checksum, digest."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from app.auth import keys


def test_a_new_key_has_the_documented_shape_and_passes_its_own_check() -> None:
    key = keys.new_key()
    prefix, kind, random, check = key.split("_")
    assert (prefix, kind, len(random), len(check)) == ("dk", "live", 43, 6)
    assert keys.is_well_formed(key)


def test_two_keys_differ() -> None:
    assert keys.new_key() != keys.new_key()


@given(st.integers(0, 42), st.sampled_from(keys.ALPHABET))
def test_one_changed_character_is_noticed(position: int, character: str) -> None:
    key = f"dk_live_{'a' * 43}"
    good = f"{key}_{keys.checksum(key)}"
    index = len("dk_live_") + position
    changed = good[:index] + character + good[index + 1 :]
    assert keys.is_well_formed(changed) == (changed == good)


@given(st.text(max_size=80))
def test_junk_is_no_key(junk: str) -> None:
    assert not keys.is_well_formed(junk)


def test_the_checksum_is_crc32_in_base62() -> None:
    value = 0
    for digit in keys.checksum("dk_live_x"):
        value = value * 62 + keys.ALPHABET.index(digit)
    assert value == zlib.crc32(b"dk_live_x")


def test_the_digest_depends_on_key_and_pepper_and_hides_both() -> None:
    key = keys.new_key()
    stored = keys.digest(key, "pepper")
    assert keys.is_same(stored, keys.digest(key, "pepper"))
    assert not keys.is_same(stored, keys.digest(key, "other"))
    assert not keys.is_same(stored, keys.digest(keys.new_key(), "pepper"))
    assert key not in stored
    assert len(stored) == 64


def test_the_last_four_are_of_the_random_part() -> None:
    key = keys.new_key()
    assert keys.last4(key) == key.split("_")[2][-4:]
