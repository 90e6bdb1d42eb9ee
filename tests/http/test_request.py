from __future__ import annotations

import email
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from email.policy import HTTP
from hashlib import blake2b
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.expressions import parse, parse_json
from stressrun.http.pieces import Render
from stressrun.http.request import (
    add_header,
    build_request,
    compile_request,
    parse_request,
    target_of,
)
from stressrun.http.trace import Trace
from stressrun.scenario.model import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    Body,
    FormBody,
    JsonBody,
    MultipartBody,
    MultipartPart,
    RawBody,
    Request,
)

Pairs = list[tuple[str, str]]
texts = st.text(st.characters(codec="utf-8"))
# What a scenario may hold as a constant: `$` could begin an expression.
constants = st.text(st.characters(codec="utf-8", exclude_characters="$"))


def request(
    method: str = "GET",
    path: str = "/",
    *,
    query: Pairs | None = None,
    headers: Pairs | None = None,
    auth: Auth | None = None,
    body: Body | None = None,
) -> Request:
    return Request(
        "r",
        method,
        parse(path),
        query=tuple((name, parse(value)) for name, value in query or []),
        headers=tuple((name, parse(value)) for name, value in headers or []),
        auth=auth,
        body=body,
    )


def compiled(
    request: Request, *, base_path: str = "", traced: float | None = None, site: str = "site"
) -> Render:
    return compile_request(
        request,
        authority="shop:8000",
        base_path=base_path,
        seed=1,
        site=site,
        trace=Trace("20260101-abcd", traced),
    )


def sent(
    request: Request, variables: Mapping[str, object] | None = None, *, base_path: str = ""
) -> tuple[str, str, dict[str, str], bytes]:
    """Method, target, headers and body; no header is there twice."""
    content = compiled(request, base_path=base_path)(0, variables or {})
    method, target, headers, body = parse_request(content)
    names = [name.lower() for name, _ in headers]
    assert len(names) == len(set(names))
    return method, target, dict(headers), body


def digits(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).hexdigest().encode()


def json_body(value: object) -> JsonBody:
    return JsonBody(parse_json(value))


def form(**fields: str) -> FormBody:
    return FormBody(tuple((name, parse(value)) for name, value in fields.items()))


def test_a_get_is_these_bytes() -> None:
    render = compiled(request(path="/products?limit=5"), base_path="/v1", traced=1.0)
    content = re.sub(rb"stressrun/[\w.]+", b"stressrun/VERSION", render(0x1234, {}))
    content = content.replace(digits("20260101-abcd"), b"RUN").replace(digits("site"), b"SITE")
    assert content == (
        b"GET /v1/products?limit=5 HTTP/1.1\r\n"
        b"Host: shop:8000\r\n"
        b"User-Agent: stressrun/VERSION\r\n"
        b"Accept: */*\r\n"
        b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
        b"X-Stressrun-Run: 20260101-abcd\r\n"
        b"traceparent: 00-RUN0000000000001234-SITE-01\r\n"
        b"\r\n"
    )


def test_a_post_of_a_form_is_these_bytes() -> None:
    render = compiled(request("POST", "/carts/${cart}", body=form(a="1 2", b="${b}")))
    content = re.sub(rb"stressrun/[\w.]+", b"stressrun/VERSION", render(0, {"cart": 7, "b": "&=é"}))
    assert content == (
        b"POST /carts/7 HTTP/1.1\r\n"
        b"Host: shop:8000\r\n"
        b"User-Agent: stressrun/VERSION\r\n"
        b"Accept: */*\r\n"
        b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n"
        b"X-Stressrun-Run: 20260101-abcd\r\n"
        b"Content-Length: 20\r\n"
        b"\r\n"
        b"a=1+2&b=%26%3D%C3%A9"
    )


@pytest.mark.parametrize(
    ("method", "length"),
    [
        *[(method, None) for method in ("GET", "HEAD", "DELETE", "OPTIONS", "TRACE")],
        *[(method, "0") for method in ("POST", "PUT", "PATCH")],
    ],
)
def test_without_a_body_only_methods_that_may_have_one_tell_its_length(
    method: str, length: str | None
) -> None:
    _, _, headers, body = sent(request(method))
    assert (headers.get("Content-Length"), body) == (length, b"")


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PURGE"])
def test_any_method_may_have_a_body(method: str) -> None:
    _, _, headers, body = sent(request(method, body=json_body({"a": 1})))
    assert (headers["Content-Length"], body) == ("7", b'{"a":1}')


def test_a_json_body_is_counted_in_bytes() -> None:
    value = {"name": "Zoë", "cart": "${cart}"}
    _, _, headers, body = sent(request("POST", body=json_body(value)), {"cart": 7})
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
        (["\ud800"], "/carts/%5B%22%5Cud800%22%5D"),
    ],
)
def test_a_captured_value_is_one_segment_of_the_path(value: object, path: str) -> None:
    assert sent(request(path="/carts/${cart}"), {"cart": value})[1] == path


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/p", [("a", "1")], "/p?a=1"),
        ("/p?x=0", [("a", "1")], "/p?x=0&a=1"),
        ("/p/${id}", [("a b", "c d"), ("e", "")], "/p/%3F?a+b=c+d&e="),
        ("/p/${id}?x=${id}", [("a", "=${id}&")], "/p/%3F?x=%3F&a=%3D%3F%26"),
        ("/p", [("a", "1"), ("a", "2")], "/p?a=1&a=2"),
    ],
)
def test_query_arguments_follow_what_the_path_has(path: str, query: Pairs, target: str) -> None:
    assert sent(request(path=path, query=query), {"id": "?"})[1] == target


@given(st.lists(st.tuples(texts, texts), min_size=1))
def test_query_arguments_are_what_a_service_reads(arguments: Pairs) -> None:
    query = [(name, f"${{v{number}}}") for number, (name, _) in enumerate(arguments)]
    variables = {f"v{number}": value for number, (_, value) in enumerate(arguments)}
    _, target, _, _ = sent(request(query=query), variables)
    assert parse_qsl(urlsplit(target).query, keep_blank_values=True) == arguments
    assert target.isascii()


@given(st.lists(st.tuples(texts, constants)))
def test_form_fields_are_what_a_service_reads(fields: Pairs) -> None:
    body = FormBody(tuple((name, parse(value)) for name, value in fields))
    _, _, headers, content = sent(request("POST", body=body))
    assert parse_qsl(content.decode("ascii"), keep_blank_values=True) == fields
    assert headers["Content-Length"] == str(len(content))


def test_given_headers_take_the_place_of_the_usual_ones() -> None:
    given = [("user-agent", "mine"), ("accept-encoding", "identity"), ("X-Id", "${id}")]
    _, _, headers, _ = sent(request(headers=given), {"id": 3})
    assert headers == {
        "Host": "shop:8000",
        "Accept": "*/*",
        "X-Stressrun-Run": "20260101-abcd",
        "user-agent": "mine",
        "accept-encoding": "identity",
        "X-Id": "3",
    }


def test_a_given_content_type_takes_the_place_of_the_usual_one() -> None:
    given = [("content-type", "application/merge-patch+json")]
    _, _, headers, _ = sent(request("PATCH", headers=given, body=json_body({"a": 1})))
    assert headers["content-type"] == "application/merge-patch+json"


@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding"])
def test_a_request_that_says_itself_how_long_it_is_gets_no_length(name: str) -> None:
    body = RawBody(parse("0\r\n\r\n"), None)
    _, _, headers, content = sent(request("POST", headers=[(name, "${x}")], body=body), {"x": "9"})
    assert (headers[name], "Content-Length" in headers, content) == ("9", False, b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("3\r\nEvil: 1", "3  Evil: 1"),
        ("a\x00b\tc", "a b\tc"),
        ("Zoë", "Zoë"),
        ("\ud800", "\\ud800"),
    ],
)
@pytest.mark.parametrize("auth", [False, True])
def test_a_captured_value_cannot_begin_another_header(value: str, line: str, auth: bool) -> None:
    if auth:
        one = request(auth=BearerAuth(parse("${v}")))
        assert sent(one, {"v": value})[2]["Authorization"] == f"Bearer {line}"
    else:
        assert sent(request(headers=[("X-Id", "${v}")]), {"v": value})[2]["X-Id"] == line


def test_a_missing_variable_is_a_key_error_with_its_name() -> None:
    with pytest.raises(KeyError) as raised:
        compiled(request(path="/${cart}"))(0, {})
    assert raised.value.args == ("cart",)


# Authorization.


@pytest.mark.parametrize(
    ("user", "password", "pair"),
    [("jo", "secret", "jo:secret"), ("${u}", "p:ä", "Zoë:p:ä"), ("", "${u}", ":Zoë")],
)
def test_basic_auth_is_a_pair_in_base64(user: str, password: str, pair: str) -> None:
    auth = BasicAuth(parse(user), parse(password))
    kind, _, value = sent(request(auth=auth), {"u": "Zoë"})[2]["Authorization"].partition(" ")
    assert (kind, b64decode(value).decode()) == ("Basic", pair)


def test_a_bearer_token_may_be_captured() -> None:
    auth = BearerAuth(parse("${token}"))
    assert sent(request(auth=auth), {"token": "t0"})[2]["Authorization"] == "Bearer t0"


def test_an_api_key_stands_in_a_header_or_in_the_query() -> None:
    header = ApiKeyAuth("X-Api-Key", parse("k1"), in_query=False)
    assert sent(request(auth=header))[2]["X-Api-Key"] == "k1"
    query = ApiKeyAuth("key", parse("${k}"), in_query=True)
    assert sent(request(path="/p?a=1", auth=query), {"k": "k 2"})[1] == "/p?a=1&key=k+2"


@pytest.mark.parametrize(
    "auth",
    [
        BasicAuth(parse("u"), parse("p")),
        BearerAuth(parse("t")),
        ApiKeyAuth("Authorization", parse("k"), in_query=False),
    ],
)
def test_a_step_s_own_authorization_wins(auth: Auth) -> None:
    headers = sent(request(auth=auth, headers=[("authorization", "Mine 1")]))[2]
    assert headers["authorization"] == "Mine 1"
    assert "Authorization" not in headers


def test_a_step_s_own_query_argument_wins_over_an_api_key() -> None:
    auth = ApiKeyAuth("key", parse("k"), in_query=True)
    assert sent(request(query=[("key", "mine")], auth=auth))[1] == "/?key=mine"


# Bodies.


@pytest.mark.parametrize(
    ("body", "media_type", "content"),
    [
        (RawBody(parse("<a>${v}</a>"), "text/xml"), "text/xml", "<a>é</a>".encode()),
        (RawBody(parse("plain"), None), None, b"plain"),
        (RawBody(b"\x00\xff${v}", "image/png"), "image/png", b"\x00\xff${v}"),
        (RawBody(b"", None), None, b""),
        (json_body(["${v}", "constant"]), "application/json", '["é","constant"]'.encode()),
        (json_body([{"a": ["$${v}"]}]), "application/json", b'[{"a":["${v}"]}]'),
        (form(), "application/x-www-form-urlencoded", b""),
    ],
)
def test_a_body_and_its_type(body: Body, media_type: str | None, content: bytes) -> None:
    _, _, headers, data = sent(request("POST", body=body), {"v": "é"})
    assert (headers.get("Content-Type"), data) == (media_type, content)
    assert headers["Content-Length"] == str(len(content))


def test_half_a_surrogate_pair_is_sent_as_its_escape() -> None:
    one = request("POST", body=RawBody(parse("${v}"), None))
    assert sent(one, {"v": "\ud800"})[3] == b"\\ud800"


def multipart(*parts: MultipartPart) -> MultipartBody:
    return MultipartBody(parts)


def test_a_multipart_body_is_these_bytes() -> None:
    body = multipart(
        MultipartPart("name", parse("Zoë ${v}"), None, None),
        MultipartPart("file", b"\x00\r\n", 'a"b.bin', None),
        MultipartPart("data", parse("{}"), "d.json", "application/json"),
    )
    _, _, headers, content = sent(request("POST", body=body), {"v": 7})
    boundary = headers["Content-Type"].removeprefix("multipart/form-data; boundary=")
    assert re.fullmatch(r"stressrun-[0-9a-f]{24}-0", boundary)
    assert content.replace(boundary.encode(), b"B") == (
        b'--B\r\nContent-Disposition: form-data; name="name"\r\n\r\nZo\xc3\xab 7\r\n'
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a%22b.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\r\n\r\n"
        b'--B\r\nContent-Disposition: form-data; name="data"; filename="d.json"\r\n'
        b"Content-Type: application/json\r\n\r\n{}\r\n"
        b"--B--\r\n"
    )
    assert headers["Content-Length"] == str(len(content))


@given(st.lists(st.binary(), min_size=1, max_size=4))
def test_multipart_parts_are_what_a_parser_reads(contents: list[bytes]) -> None:
    body = MultipartBody(
        tuple(MultipartPart(f"p{n}", content, "f", None) for n, content in enumerate(contents))
    )
    _, _, headers, content = sent(request("POST", body=body))
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    boundary = headers["Content-Type"].partition("boundary=")[2].encode()
    parts = content.removesuffix(b"\r\n--" + boundary + b"--\r\n").split(b"--" + boundary + b"\r\n")
    read = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:]]
    assert read[:-1] == contents[:-1]
    assert parts[-1].partition(b"\r\n\r\n")[2] == contents[-1]
    assert email.message_from_bytes(head + content, policy=HTTP).is_multipart()


def test_a_boundary_is_in_none_of_the_contents() -> None:
    def boundary(content: bytes) -> str:
        body = multipart(MultipartPart("a", content, None, None))
        return sent(request("POST", body=body))[2]["Content-Type"].partition("boundary=")[2]

    assert boundary(b"x") == boundary(b"x") != boundary(b"y")
    assert boundary(b"x").encode() not in b"x"


JSON_TYPES = [
    ("application/json", None),
    ("application/problem+json; charset=utf-8", None),
    (None, "Application/JSON"),
    ("text/plain", "application/vnd.api+json"),
]


@given(st.text(), st.sampled_from(JSON_TYPES))
def test_a_text_of_json_stays_json_whatever_is_put_into_it(
    value: str, types: tuple[str | None, str | None]
) -> None:
    of_body, of_header = types
    source = '{"n": ${n}, "q\\"": "say \\"${v}\\\\${v}", "t": ${v}, "l": [${l}], "${v}": "${l}"}'
    headers = [] if of_header is None else [("content-type", of_header)]
    one = request("POST", headers=headers, body=RawBody(parse(source), of_body))
    _, _, _, content = sent(one, {"n": 1.5, "v": value, "l": {"a": [value]}})
    found = json.loads(content)
    listed = json.dumps({"a": [value]}, ensure_ascii=False, separators=(",", ":"))
    texts = {'q"': f'say "{value}\\{value}', "t": value}
    assert found == {"n": 1.5, **texts, "l": [{"a": [value]}], value: listed}


@pytest.mark.parametrize(
    ("of_body", "of_header"),
    [(None, None), ("text/plain", None), ("application/json", "text/plain"), (None, "${v}")],
)
def test_a_text_of_another_type_is_sent_as_it_is(
    of_body: str | None, of_header: str | None
) -> None:
    headers = [] if of_header is None else [("Content-Type", of_header)]
    one = request("POST", headers=headers, body=RawBody(parse('"${v}" ${v}'), of_body))
    assert sent(one, {"v": 'a"b'})[3] == b'"a"b" a"b'


# Traces.


@pytest.mark.parametrize("headers", [[], [("X-Token", "${v}")], [("A", "${v}"), ("B", "${v}")]])
@pytest.mark.parametrize("path", ["/", "/${v}", "/${v}/${integer(1, 9)}?a=${uuid}"])
@pytest.mark.parametrize("body", [None, json_body({"a": 1}), json_body({"a": "${v}"})])
def test_a_trace_is_of_the_index_in_requests_of_any_shape(
    headers: Pairs, path: str, body: Body | None
) -> None:
    render = compiled(request("POST", path, headers=headers, body=body), traced=1.0)
    for index in (0, 1, 2**63 - 1):
        method, _, pairs, _ = parse_request(render(index, {"v": "x"}))
        form = rf"00-[0-9a-f]{{16}}{index:016x}-[0-9a-f]{{16}}-01"
        assert re.fullmatch(form, dict(pairs)["traceparent"])
        assert method == "POST"


def traceparent(
    run_id: str = "r", traced: float | None = 1.0, site: str = "s", index: int = 5
) -> str | None:
    render = compile_request(
        request(), authority="h", base_path="", seed=1, site=site, trace=Trace(run_id, traced)
    )
    return dict(parse_request(render(index, {}))[2]).get("traceparent")


def test_runs_indices_and_sites_have_traces_of_their_own() -> None:
    same, other_site = traceparent(), traceparent(site="t")
    assert same == traceparent()
    assert len({same, other_site, traceparent(run_id="q"), traceparent(index=6)}) == 4
    assert same is not None
    assert other_site is not None
    assert same[:35] == other_site[:35]


def test_without_a_share_there_is_no_trace() -> None:
    assert traceparent(traced=None) is None


@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_share_of_traces_that_ask_for_a_sample_is_kept(share: float, stride: int) -> None:
    count = 2000
    indices = range(2**41, 2**41 + count * stride, stride)
    render = compiled(request(), traced=share)
    flags = [dict(parse_request(render(index, {}))[2])["traceparent"][-2:] for index in indices]
    assert set(flags) <= {"00", "01"}
    assert abs(flags.count("01") - share * count) <= 5


def test_own_headers_take_the_place_of_those_of_the_run() -> None:
    own = [("Traceparent", "mine"), ("x-stressrun-run", "mine")]
    headers = parse_request(compiled(request(headers=own), traced=1.0)(0, {}))[2]
    assert [pair for pair in headers if pair[1] == "mine"] == own
    assert sum(name.lower() in ("traceparent", "x-stressrun-run") for name, _ in headers) == 2


# Rendered requests.


names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,9}", fullmatch=True)
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])).map(str.strip)


@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    target=st.from_regex(r"/[!-~]{0,9}", fullmatch=True),
    headers=st.lists(st.tuples(names, values)),
    body=st.binary(),
)
def test_building_and_parsing_a_request_are_inverse(
    method: str, target: str, headers: Pairs, body: bytes
) -> None:
    content = build_request(method, target, headers, body)
    assert parse_request(content) == (method, target, headers, body)
    assert target_of(content) == target


@given(texts, texts, st.binary())
def test_parsing_what_was_rendered_gives_what_it_was_made_of(
    segment: str, value: str, data: bytes
) -> None:
    one = request("POST", "/a/${s}", headers=[("X-V", "${v}")], body=RawBody(data, "a/b"))
    content = compiled(one, traced=0.5)(3, {"s": segment, "v": value})
    method, target, headers, body = parse_request(content)
    assert build_request(method, target, headers, body) == content
    assert (method, target, body) == ("POST", "/a/" + quote(segment, safe=""), data)


def test_a_header_is_added_behind_the_others() -> None:
    content = build_request("POST", "/", [("Host", "h")], b"\r\n\r\nbody")
    assert add_header(content, "Cookie", "a=1\r\nEvil: 1") == (
        b"POST / HTTP/1.1\r\nHost: h\r\nCookie: a=1  Evil: 1\r\n\r\n\r\n\r\nbody"
    )


def test_a_request_keeps_its_own_header_over_an_added_one() -> None:
    content = build_request("GET", "/", [("Host", "h"), ("cookie", "mine=1")], b"")
    assert add_header(content, "Cookie", "a=1") == content


@given(st.recursive(st.none() | st.integers() | constants, lambda one: st.lists(one)))
def test_a_constant_json_body_is_the_value(value: object) -> None:
    assert json.loads(sent(request("POST", body=json_body(value)))[3]) == value
