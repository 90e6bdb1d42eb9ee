from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.excerpt import MOST, MOST_OF_DETAIL, excerpt
from stressrun.metrics.recorder import Recorder, Row, Sample

actions = st.lists(
    st.tuples(
        st.sampled_from(["endpoint", "operation"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["succeed", "fail", "late", "drop"]),
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
        elif action == "late":
            row.succeed(time, time + 5, 10, 20)
            row.lag(time + 5, 5)
        else:
            row.dropped += 1
            recorder.missed += 1


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


def test_what_was_late_has_a_twin_without_its_lag() -> None:
    recorder = Recorder()
    perform(recorder, [("endpoint", "a", "succeed", 100), ("endpoint", "a", "late", 300)])
    row = recorder.row("endpoint", "a")
    assert (row.response.total, row.response_without_lag.total) == (410, 405)
    assert (row.response.maximum, row.response_without_lag.maximum) == (305, 300)


def test_what_a_lost_worker_never_told_is_unknown() -> None:
    recorder = Recorder()
    perform(recorder, [("endpoint", "a", "succeed", 100)])
    recorder.row("endpoint", "a").planned += 3
    recorder.settle()
    assert recorder.row("endpoint", "a").unknown == 3


def keep(row: Row, *errors: str) -> None:
    for number, error in enumerate(errors):
        if row.wants_sample(error):
            row.keep(Sample(error, f"detail {number}", "GET /", "503"))


def details(row: Row) -> dict[str, list[str]]:
    return {error: [sample.detail for sample in kept] for error, kept in row.samples.items()}


def test_the_first_samples_of_each_kind_are_kept_over_all_parts() -> None:
    worker, controller = Recorder(), Recorder()
    keep(worker.row("endpoint", "a"), "slow", "slow", "timeout")
    controller.merge(Recorder.from_wire(worker.drain()))
    keep(worker.row("endpoint", "a"), "slow", "slow", "slow", "slow")
    controller.merge(Recorder.from_wire(worker.drain()))
    assert details(controller.row("endpoint", "a")) == {
        "slow": ["detail 0", "detail 1", "detail 0"],
        "timeout": ["detail 2"],
    }


def test_samples_stay_few_however_many_kinds_there_are() -> None:
    row = Row()
    keep(row, *(f"kind {number}" for number in range(1000)))
    assert len(row.samples) == 20
    assert not row.wants_sample("yet another")


def test_secrets_are_taken_out_of_samples_but_not_out_of_their_kinds() -> None:
    recorder = Recorder()
    row = recorder.row("endpoint", "a")
    row.keep(Sample("no abc", "it is abc", "GET /?abc", "200 abc"))
    recorder.mask(lambda text: text.replace("abc", "***"))
    assert row.samples == {"no abc": [Sample("no abc", "it is ***", "GET /?***", "200 ***")]}


def test_a_secret_that_a_cut_went_through_shows_no_part_of_itself() -> None:
    secret = "hunter2" * 100
    text = "".join(excerpt("." * 1_000 + secret + "." * 2_200 + secret + "." * 9_000, MOST))
    row = Row()
    recorder = Recorder()
    recorder.rows["endpoint", "a"] = row
    row.keep(Sample("slow", "".join(excerpt("." * 299 + secret, MOST_OF_DETAIL)), text, text))
    recorder.mask(lambda text: text.replace(secret, "***"))
    (sample,) = row.samples["slow"]
    assert sample.detail == "." * 299 + "*… (2 more characters)"
    assert sample.request == sample.answer
    assert sample.request.startswith("." * 1_000 + "***...")
    assert "h" not in sample.request.partition("…")[0]
    assert len(sample.request.partition("…")[0]) <= MOST


def test_how_connections_were_opened_is_sent_with_the_books() -> None:
    worker, controller = Recorder(), Recorder()
    for histogram in (worker.connect, worker.tls):
        histogram.record(500)
    for _ in range(2):
        controller.merge(Recorder.from_wire(worker.drain()))
    assert (controller.connect.count, controller.tls.mean) == (1, 500)


def test_the_slowest_requests_are_news_that_no_other_books_take_over() -> None:
    worker, controller = Recorder(), Recorder()
    worker.slowest.restart()
    worker.slowest.keep(5)
    news = Recorder.from_wire(worker.drain())
    assert [time for time, _ in news.slowest.kept] == [5]
    assert worker.slowest.kept == []
    controller.merge(news)
    assert not controller.slowest.active
