import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.http.failure import ConnectionFailed
from stressrun.http.frames import Farewell, Frames


def frame(kind: int, payload: bytes, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, 0]) + stream.to_bytes(4) + payload


SETTINGS = frame(4, b"")


def goodbye(last_stream: int, code: int = 0, text: bytes = b"") -> bytes:
    return frame(7, last_stream.to_bytes(4) + code.to_bytes(4) + text)


def in_pieces(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


kinds = st.integers(0, 255).filter(lambda kind: kind != 7)
ordinary = st.builds(frame, kinds, st.binary(max_size=40), st.integers(0, 9))


@given(st.lists(ordinary | st.just(goodbye(3))), st.integers(1, 60))
def test_all_but_farewells_passes_however_it_is_cut(sent: list[bytes], size: int) -> None:
    frames = Frames()
    passed = b"".join(map(frames.take, in_pieces(SETTINGS + b"".join(sent), size)))
    assert passed == SETTINGS + b"".join(each for each in sent if each != goodbye(3))
    assert (frames.farewell is not None) == (goodbye(3) in sent)


def test_a_farewell_says_what_was_not_processed_and_why() -> None:
    frames = Frames()
    frames.take(SETTINGS + goodbye(0x8000_0005, 11, b"calm \xff"))
    assert frames.farewell == Farewell(5, 11, "calm \\xff")


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no http2"),
        (SETTINGS + frame(7, b"\x00"), "http2: FRAME_SIZE_ERROR"),
        (SETTINGS + frame(0, bytes(16_385))[:9], "http2: FRAME_SIZE_ERROR"),
    ],
)
def test_what_is_no_http2_is_refused(sent: bytes, kind: str) -> None:
    with pytest.raises(ConnectionFailed) as failed:
        Frames().take(sent)
    assert failed.value.kind == kind
