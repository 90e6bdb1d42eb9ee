"""No secret is shown."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.safety.masking import Mask


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        (["hunter2"], "it is hunter2!", "it is ***!"),
        (["p@ss/word"], "at p%40ss%2Fword", "at ***"),
        (["abc", "abcdef"], "abcdef abc", "*** ***"),
        (["a.c"], "abc a.c", "abc ***"),
        (["x", ""], "xxx", "xxx"),
        (["é"], "é \\u00e9 %C3%A9", "é \\u00e9 %C3%A9"),
        (["\udcff secret"], "\udcff secret", "***"),
        ([], "postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ([], "postgresql://u:p@ss@h/d?x=1", "postgresql://u:***@h/d?x=1"),
        ([], "http://u@h:80/a@b http://h:80/c", "http://u@h:80/a@b http://h:80/c"),
        ([], "postgresql://h/d?password=p&x=1", "postgresql://h/d?password=***&x=1"),
        ([], "host=h password=p dbname=d", "host=h password=*** dbname=d"),
        ([], r"password = 'a b\'c' host=h", "password = *** host=h"),
        ([], '{"u":"host=h password=p"}', '{"u":"host=h password=***"}'),
        ([], '{"u":"http://h:80/x","e":"a@b"}', '{"u":"http://h:80/x","e":"a@b"}'),
        ([], '{"u":"http://u:p@ss@h","e":"a@b"}', '{"u":"http://u:***@h","e":"a@b"}'),
    ],
)
def test_secrets_and_passwords_of_urls_are_masked(
    secrets: list[str], text: str, masked: str
) -> None:
    assert Mask(secrets).text(text) == masked


# What stands around a secret here is in none.
secrets = st.text(st.characters(codec="utf-8", exclude_characters="{k="), min_size=3).filter(
    lambda secret: not secret.startswith('"')
)


@given(secrets)
def test_a_secret_is_masked_in_json_and_in_forms(secret: str) -> None:
    mask = Mask([secret])
    for plain in (True, False):
        body = json.dumps({"k": secret}, ensure_ascii=plain, separators=(",", ":"))
        assert mask.text(body) == '{"k":"***"}'
    assert mask.text(urlencode({"k": secret})) == "k=***"
