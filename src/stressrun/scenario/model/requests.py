"""Requests and the steps that they make up, what they are fed with, and how they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from stressrun.data.checks import Check
from stressrun.data.conditions import Condition
from stressrun.data.expressions import Json, Template
from stressrun.data.jsonpath import JsonPath


@dataclass(frozen=True, slots=True)
class CsvFile:
    """Rows of a CSV file with a header line."""

    path: str


@dataclass(frozen=True, slots=True)
class JsonLinesFile:
    """Rows of a file with one JSON object a line."""

    path: str


@dataclass(frozen=True, slots=True)
class Query:
    """Rows of a statement, asked once after seeding."""

    sql: str


@dataclass(frozen=True, slots=True)
class Feeder:
    """Rows that iterations use, one each: `order` is sequential, random or unique."""

    name: str
    source: CsvFile | JsonLinesFile | Query
    order: str


@dataclass(frozen=True, slots=True)
class JsonBody:
    json: Json


@dataclass(frozen=True, slots=True)
class FormBody:
    fields: tuple[tuple[str, Template], ...]


@dataclass(frozen=True, slots=True)
class MultipartPart:
    """A part of a multipart body; bytes are a file's content, sent as they are."""

    name: str
    content: Template | bytes
    filename: str | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class MultipartBody:
    parts: tuple[MultipartPart, ...]


@dataclass(frozen=True, slots=True)
class RawBody:
    """A text, or a file's bytes; without a `content_type` the request names none."""

    content: Template | bytes
    content_type: str | None


Body = JsonBody | FormBody | MultipartBody | RawBody


@dataclass(frozen=True, slots=True)
class BasicAuth:
    user: Template
    password: Template


@dataclass(frozen=True, slots=True)
class BearerAuth:
    token: Template


@dataclass(frozen=True, slots=True)
class ApiKeyAuth:
    """A key in a header, or in the query."""

    name: str
    value: Template
    in_query: bool


Auth = BasicAuth | BearerAuth | ApiKeyAuth


@dataclass(frozen=True, slots=True)
class FromJson:
    path: JsonPath


@dataclass(frozen=True, slots=True)
class FromHeader:
    name: str


@dataclass(frozen=True, slots=True)
class FromStatus:
    pass


@dataclass(frozen=True, slots=True)
class FromCookie:
    name: str


@dataclass(frozen=True, slots=True)
class FromRegex:
    """The first group of the first match in the body's text; without a group the whole match."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Capture:
    """A part of the answer, kept as a variable for later steps."""

    variable: str
    source: FromJson | FromHeader | FromStatus | FromCookie | FromRegex


@dataclass(frozen=True, slots=True)
class Expect:
    """What makes an answer a success: one of `statuses` (empty: below 400), `within` seconds.

    The checks are of headers by name, of values in a JSON body, of the body's text, and of its
    size in bytes.
    """

    statuses: tuple[int, ...] = ()
    within: float | None = None
    headers: tuple[tuple[str, Check], ...] = ()
    json: tuple[tuple[JsonPath, Check], ...] = ()
    body: tuple[Check, ...] = ()
    size: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Undo:
    """The request that removes what another one made, with what that one captured."""

    method: str
    path: Template


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `name` is what reports call it.

    `timeout` is from the send to the end of the answer, `redirects` is how many are followed.
    What it makes, its `undo` removes.
    """

    name: str
    method: str
    path: Template
    query: tuple[tuple[str, Template], ...] = ()
    headers: tuple[tuple[str, Template], ...] = ()
    auth: Auth | None = None
    body: Body | None = None
    captures: tuple[Capture, ...] = ()
    expect: Expect = field(default_factory=Expect)
    timeout: float = 30.0
    redirects: int = 0
    undo: Undo | None = None


@dataclass(frozen=True, slots=True)
class Think:
    shortest: float
    longest: float


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that are done `repeat` times, each time only where `when` holds."""

    steps: tuple[Step, ...]
    repeat: int
    when: Condition | None


Step = Request | Think | Group


@dataclass(frozen=True, slots=True)
class Endpoint:
    name: str
    weight: float
    steps: tuple[Step, ...]

    @property
    def single(self) -> Request | None:
        """The request of an endpoint that is nothing else; its figures are the endpoint's."""
        first = self.steps[0] if len(self.steps) == 1 else None
        return first if isinstance(first, Request) else None

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests, those within groups among them, in the order of the file."""
        return tuple(_requests(self.steps))


@dataclass(frozen=True, slots=True)
class Login:
    """Steps whose captures are `${login.…}`: done once for all, or once for each virtual user.

    After `refresh` seconds, or an answer 401, they are done anew.
    """

    steps: tuple[Step, ...]
    per_vu: bool
    refresh: float | None

    @property
    def requests(self) -> tuple[Request, ...]:
        return tuple(_requests(self.steps))


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca`, `certificate` and `key` are files; without a `ca` the system's are trusted."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Http:
    """How all requests are sent.

    `cookies` and `reuse` (of connections) last for the `vu`, the `iteration`, or are `none`.
    `resolve_after` is how long (seconds) an address is used until its name is resolved again:
    0 for each connection, infinity for never. `traced` is the share of requests whose
    `traceparent` asks for a sample; None: no trace header.
    """

    protocol: str = "http1"
    connect_timeout: float = 10.0
    cookies: str = "vu"
    reuse: str = "vu"
    resolve_after: float = inf
    unix_socket: str | None = None
    tls: Tls = field(default_factory=Tls)
    traced: float | None = 1.0


def _requests(steps: Sequence[Step]) -> Iterator[Request]:
    for step in steps:
        if isinstance(step, Request):
            yield step
        elif isinstance(step, Group):
            yield from _requests(step.steps)
