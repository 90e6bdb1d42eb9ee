from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.recorder import Recorder

actions = st.lists(
    st.tuples(
        st.sampled_from(["endpoint", "operation"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["succeed", "fail", "drop"]),
        st.integers(min_value=0, max_value=10**9),
    )
)


def perform(recorder: Recorder, performed: list[tuple[str, str, str, int]]) -> None:
    for kind, name, action, time in performed:
        row = recorder.row(kind, name)
        row.planned += 1
        if action == "succeed":
            row.succeed(time, time + 5, 10, 20)
        elif action == "fail":
            row.fail("status 503", time, time + 5, 10, 20)
        else:
            row.dropped += 1


@given(actions, actions)
def test_books_sent_in_parts_merge_to_the_whole(
    first: list[tuple[str, str, str, int]], second: list[tuple[str, str, str, int]]
) -> None:
    whole, worker, controller = Recorder(), Recorder(), Recorder()
    perform(whole, first + second)
    for part in (first, second):
        perform(worker, part)
        controller.merge(Recorder.from_wire(worker.drain()))
    assert controller.drain() == whole.drain()


def test_a_row_s_times_hold_successes_and_failures_together() -> None:
    recorder = Recorder()
    perform(recorder, [("endpoint", "a", "succeed", 100), ("endpoint", "a", "fail", 300)])
    row = recorder.row("endpoint", "a")
    assert (row.service.count, row.service.mean) == (2, 200)
    assert (row.response.count, row.response.mean) == (2, 205)
    assert dict(row.errors) == {"status 503": 1}
    assert row.planned == row.succeeded + row.failed


def test_what_a_lost_worker_never_told_is_unknown() -> None:
    recorder = Recorder()
    perform(recorder, [("endpoint", "a", "succeed", 100)])
    recorder.row("endpoint", "a").planned += 3
    recorder.settle()
    assert recorder.row("endpoint", "a").unknown == 3
