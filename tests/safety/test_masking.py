"""No secret is shown."""

from __future__ import annotations

import pytest

from stressrun.safety.masking import Mask


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        (["hunter2"], "it is hunter2!", "it is ***!"),
        (["p@ss/word"], "at p%40ss%2Fword", "at ***"),
        (["abc", "abcdef"], "abcdef abc", "*** ***"),
        (["a.c"], "abc a.c", "abc ***"),
        (["x", ""], "xxx", "xxx"),
        ([], "postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ([], "postgresql://u:p@ss@h/d?x=1", "postgresql://u:***@h/d?x=1"),
        ([], "http://u@h:80/a@b http://h:80/c", "http://u@h:80/a@b http://h:80/c"),
        ([], "postgresql://h/d?password=p&x=1", "postgresql://h/d?password=***&x=1"),
    ],
)
def test_secrets_and_passwords_of_urls_are_masked(
    secrets: list[str], text: str, masked: str
) -> None:
    assert Mask(secrets).text(text) == masked
