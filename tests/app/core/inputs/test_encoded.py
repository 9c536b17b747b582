"""Text into bytes: base64 and data URIs of it, and nothing else."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidRequest
from app.core.inputs.encoded import MAX_BYTES, decoded


@given(st.binary(min_size=1), st.sampled_from(["", "\n", " ", "\r\n", "\t"]))
def test_any_bytes_come_back_however_the_lines_are_broken(data: bytes, line_break: str) -> None:
    text = base64.b64encode(data).decode()
    broken = line_break.join(text[start : start + 5] for start in range(0, len(text), 5))
    assert decoded("image", broken) == data
    assert decoded("image", f"data:image/png;base64,{broken}") == data
    assert decoded("image", f"DATA:image/svg+xml; charset=utf-8;BASE64,{broken}") == data


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no picture"),
        (" \n", "there is no picture"),
        ("data:image/png;base64,", "there is no picture"),
        ("a", "not base64"),
        ("aGk", "not base64"),
        ("aGk=aGk=", "not base64"),
        ("aGk=====", "not base64"),
        ("aG_k", "not base64"),
        ("hällo===", "not base64"),
        ("\0\0\0\0", "not base64"),
        ("data:image/png,abcd", "must be of base64"),
        ("data:;base32,abcd", "must be of base64"),
    ],
)
def test_anything_else_is_refused_with_the_fields_name(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        decoded("input_image_2", text)
    assert caught.value.field == "input_image_2"
    assert "input_image_2" in caught.value.message


@pytest.mark.parametrize("num_chars", [1 << 18, 1 << 19])
def test_padding_is_refused_before_the_end_wherever_the_text_is_cut(num_chars: int) -> None:
    text = base64.b64encode(bytes(num_chars // 4 * 3 - 1)).decode()
    assert (len(text), text[-1]) == (num_chars, "=")
    assert decoded("image", text + "\n") == bytes(num_chars // 4 * 3 - 1)
    with pytest.raises(InvalidRequest, match="not base64"):
        decoded("image", text + "aGk=")


def test_twenty_megabytes_are_the_most_that_a_picture_may_have() -> None:
    data = random.Random(1).randbytes(MAX_BYTES)
    text = base64.b64encode(data).decode()
    assert decoded("image", text) == decoded("image", base64.encodebytes(data).decode()) == data
    for too_long in (base64.b64encode(data + b"\0").decode(), text * 2):
        with pytest.raises(InvalidRequest, match="20 MB"):
            decoded("image", too_long)
