import pytest

from stressrun.data.expressions import parse, parse_json
from stressrun.http.request import compile_request
from stressrun.scenario.model import Expect, Request


def rendered(
    method: str = "GET",
    path: str = "/",
    headers: dict[str, str] | None = None,
    json: object = None,
    variables: dict[str, object] | None = None,
    base_path: str = "",
) -> tuple[str, dict[str, str], bytes]:
    """The request line, the headers and the body of a compiled request."""
    request = Request(
        "r",
        method,
        parse(path),
        tuple((name, parse(value)) for name, value in (headers or {}).items()),
        None if json is None else parse_json(json),
        (),
        Expect((), None),
    )
    render = compile_request(
        request, authority="shop:8000", base_path=base_path, seed=1, site="site"
    )
    head, _, body = render(0, variables or {}).partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    return line, dict(header.split(": ", 1) for header in rest), body


def test_a_get_has_the_usual_headers_and_no_body() -> None:
    line, headers, body = rendered(path="/products?limit=5", base_path="/v1")
    assert line == "GET /v1/products?limit=5 HTTP/1.1"
    assert headers["Host"] == "shop:8000"
    assert headers["User-Agent"].startswith("stressrun/")
    assert "Content-Length" not in headers
    assert body == b""


def test_a_post_without_a_body_says_so() -> None:
    _, headers, body = rendered("POST")
    assert (headers["Content-Length"], body) == ("0", b"")


def test_a_json_body_is_counted_in_bytes() -> None:
    _, headers, body = rendered(
        "POST", json={"name": "Zoë", "cart": "${cart}"}, variables={"cart": 7}
    )
    assert body == '{"name":"Zoë","cart":7}'.encode()
    assert headers["Content-Length"] == str(len(body))
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (7, "/carts/7"),
        ("a b", "/carts/a%20b"),
        ("a/../b?c=d&e", "/carts/a%2F..%2Fb%3Fc%3Dd%26e"),
        ("é", "/carts/%C3%A9"),
        ("x HTTP/1.1\r\nEvil: 1", "/carts/x%20HTTP%2F1.1%0D%0AEvil%3A%201"),
    ],
)
def test_a_captured_value_is_one_segment_of_the_path(value: object, path: str) -> None:
    line, _, _ = rendered(path="/carts/${cart}", variables={"cart": value})
    assert line == f"GET {path} HTTP/1.1"


def test_given_headers_take_the_place_of_the_usual_ones() -> None:
    _, headers, _ = rendered(headers={"user-agent": "mine", "X-Id": "${id}"}, variables={"id": 3})
    assert "User-Agent" not in headers
    assert (headers["user-agent"], headers["X-Id"]) == ("mine", "3")


def test_a_given_content_type_takes_the_place_of_the_usual_one() -> None:
    given = {"content-type": "application/merge-patch+json"}
    _, headers, _ = rendered("PATCH", headers=given, json={"a": 1})
    assert headers["content-type"] == "application/merge-patch+json"
    assert "Content-Type" not in headers


def test_a_captured_value_cannot_begin_another_header() -> None:
    _, headers, _ = rendered(headers={"X-Id": "${id}"}, variables={"id": "3\r\nEvil: 1"})
    assert headers["X-Id"] == "3  Evil: 1"
    assert "Evil" not in headers
