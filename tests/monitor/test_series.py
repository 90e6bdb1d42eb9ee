"""From the texts that an exporter answers to the figures of a stage."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.metrics.scraped import Series
from stressrun.monitor import series as series_module
from stressrun.monitor.exposition import Read, Reader, UnreadableError
from stressrun.monitor.series import Increase, SeriesWatch
from stressrun.scenario.selector import parse_selector

TEXT = """\
# HELP requests_total Requests, with a "{" and a # in their help.
# TYPE requests_total counter
requests_total{path="/a",status="200"} 10
requests_total{path="/b",status="500"} 3 1700000000000
requests_total{path="a \\"} b",status="503"} 1
requests_totality 99
# TYPE nginx_connections_accepted counter
nginx_connections_accepted 41
# TYPE nginx_connections_accepted_total gauge
nginx_connections_accepted_total 5
# TYPE heap gauge
heap 1.5e+08
# TYPE nothing gauge
nothing NaN
# TYPE took histogram
took_bucket{path="/a",le="0.1"} 5
took_bucket{path="/a",le="1"} 9
took_bucket{path="/a",le="+Inf"} 10
took_bucket{path="/b",le="0.1"} 0
took_bucket{path="/b",le="1"} 1
took_bucket{path="/b",le="+Inf"} 1
took_sum{path="/a"} 4.0
took_sum{path="/b"} 0.5
took_count{path="/a"} 10
took_count{path="/b"} 1
# TYPE waited summary
waited{quantile="0.5"} 0.2
waited{quantile="0.99"} 0.9
waited_sum 12
waited_count 34
untyped_total 7
untyped 8
"""


def found(selector: str, text: str = TEXT) -> Read | UnreadableError:
    return Reader({"it": parse_selector(selector)}).read(text)["it"]


@pytest.mark.parametrize(
    ("selector", "kind", "values"),
    [
        ("requests_total", "counter", [10, 3, 1]),
        ('requests_total{status=~"5.."}', "counter", [3, 1]),
        ('requests_total{status!~"5.."}', "counter", [10]),
        ('requests_total{ path = "/b" , status!="200" }', "counter", [3]),
        ('requests_total{path="a \\"} b"}', "counter", [1]),
        ('requests_total{absent=""}', "counter", [10, 3, 1]),
        ("nginx_connections_accepted", "counter", [41]),
        ("nginx_connections_accepted_total", "gauge", [5]),
        ("heap", "gauge", [1.5e8]),
        ('took{path="/b"}', "histogram", [0, 1, 1]),
        ("took_count", "counter", [10, 1]),
        ('waited{quantile="0.99"}', "gauge", [0.9]),
        ("waited_sum", "counter", [12]),
        ("untyped_total", "counter", [7]),
        ("untyped", "gauge", [8]),
    ],
)
def test_a_selector_finds_series_of_a_kind(selector: str, kind: str, values: list[float]) -> None:
    series = found(selector)
    assert isinstance(series, Read), series
    assert series.kind == kind
    assert list(series.values.values()) == values


@pytest.mark.parametrize(
    ("selector", "text", "why"),
    [
        ("absent", TEXT, "there is no series absent"),
        ('heap{a="b"}', TEXT, 'there is no series heap{a="b"}'),
        (
            "waited",
            TEXT,
            'waited is a summary: choose waited{quantile="0.99"}, waited_sum or waited_count',
        ),
        ("heap", "", "there is no series heap"),
        ("heap", "<html>heap 1</html>", "there is no series heap"),
    ],
)
def test_what_cannot_be_a_figure_says_why(selector: str, text: str, why: str) -> None:
    series = found(selector, text)
    assert isinstance(series, UnreadableError)
    assert str(series) == why


@pytest.mark.parametrize("line", ["heap", "heap {", 'heap{a="} 1', "heap one", "heap{a=b} 1"])
def test_a_chosen_line_that_is_nonsense_is_told(line: str) -> None:
    with pytest.raises(UnreadableError, match="its metrics cannot be read"):
        found("heap", f"{line}\n")


def test_more_than_can_be_read_in_time_is_told() -> None:
    many = "".join(f'many{{n="{n}"}} 1\n' for n in range(20_001))
    with pytest.raises(UnreadableError, match=r"more than 20,000 lines"):
        found("many", many)
    assert isinstance(found("few", f"{many}few 1\n"), Read)


@given(st.text(max_size=200), st.sampled_from(["", "heap ", "heap{", 'heap{a="', "# TYPE heap "]))
def test_no_answer_breaks_the_reading(text: str, begin: str) -> None:
    with suppress(UnreadableError):
        found("heap", f"{begin}{text}")


@pytest.mark.parametrize(
    ("scrapes", "grown"),
    [
        ([], 0),
        ([5], 0),
        ([5, 8, 8, 10], 5),
        ([5, 8, 1, 4], 7),
        ([5, 0], 0),
        ([5, float("nan"), 9], 4),
    ],
    ids=["none", "one", "it grew", "it began anew", "it is back at zero", "it was no number once"],
)
def test_a_counter_grows_across_its_resets(scrapes: list[float], grown: float) -> None:
    increase = Increase()
    for value in scrapes:
        increase.see({(): value})
    assert increase.total == grown


def test_a_counter_that_appears_in_a_stage_has_grown_from_nothing() -> None:
    increase = Increase()
    increase.see({(("path", "/a"),): 5})
    increase.see({(("path", "/a"),): 6, (("path", "/b"),): 4})
    increase.see({(("path", "/b"),): 5})
    increase.see({(("path", "/a"),): 7, (("path", "/b"),): 5})
    assert increase.total == 2 + 5


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=5), min_size=1, max_size=5))
def test_whatever_restarts_between_two_scrapes_is_counted_once(
    lives: list[list[int]],
) -> None:
    """Each life is what is counted between scrapes; a restart that a scrape can see begins at 0."""
    increase, expected = Increase(), 0
    increase.see({(): 0.0})
    for life in lives:
        total = 0
        for counted in life:
            total += counted
            increase.see({(): float(total)})
        expected += total
        increase.see({(): 0.0})
    assert increase.total == expected


def watched(selector: str, *texts: str, missing: str = "") -> Series:
    watch = SeriesWatch("it", parse_selector(selector))
    for text in texts:
        watch.see(found(selector, text))
    return watch.finish(10.0, missing)


def test_a_counter_has_an_increase_and_a_rate() -> None:
    series = watched("requests_total", TEXT, TEXT.replace("} 10\n", "} 35\n"))
    assert (series.kind, series.increase, series.rate) == ("counter", 25, 2.5)
    assert series.mean is None


def test_a_counter_that_appears_in_a_stage_was_nothing_before_and_may_go_again() -> None:
    assert watched("requests_total", "", TEXT, TEXT).increase == 14
    assert watched("requests_total", "", TEXT, "").increase == 14
    assert watched("took", "", TEXT).increase == 11


def test_a_gauge_has_its_extremes() -> None:
    series = watched("heap", "heap 5\n", "heap 1\n", "heap 3\n")
    figures = (series.least, series.mean, series.most, series.last)
    assert (series.kind, *figures) == ("gauge", 1, 3, 5, 3)


def test_a_histogram_has_the_quantiles_of_the_stage_alone() -> None:
    later = TEXT.replace('"/a",le="1"} 9', '"/a",le="1"} 109').replace(
        '"/a",le="+Inf"} 10', '"/a",le="+Inf"} 110'
    )
    series = watched("took", TEXT, later.replace('sum{path="/a"} 4.0', 'sum{path="/a"} 64.0'))
    assert (series.kind, series.increase, series.rate) == ("histogram", 100, 10)
    assert series.mean == pytest.approx(0.6)
    assert series.buckets is not None
    assert series.buckets.quantile(0.5) == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("texts", "missing", "why"),
    [
        ([TEXT], "connection refused", "connection refused"),
        (["heap 1\n", ""], "", "there is no series requests_total"),
        ([], "", ""),
    ],
)
def test_a_stage_that_was_not_seen_whole_has_no_figures(
    texts: list[str], missing: str, why: str
) -> None:
    series = watched("requests_total", *texts, missing=missing)
    assert (series.increase, series.rate, series.missing) == (None, None, why)


def test_what_is_too_large_for_a_number_is_no_figure() -> None:
    huge = "".join(f'x_total{{n="{n}"}} 1e308\n' for n in range(3))
    for series in (watched("x_total", "", huge), watched("x_total", "", *["x_total 1e308\n"] * 3)):
        assert series.missing in ("", "its numbers add up to more than a number can be")
    assert watched("x_total", "", huge).increase is None
    assert watched("heap", "heap 1e308\n", "heap 1e308\n").mean is None


def test_what_was_never_a_number_is_told() -> None:
    assert watched("nothing", TEXT).missing == "it was no number in any sample"


def test_labels_with_ever_new_values_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_module, "_MOST_SERIES", 30)
    texts = ["".join(f'x_total{{id="{scrape}-{n}"}} 1\n' for n in range(10)) for scrape in range(6)]
    assert watched("x_total", *texts[:3]).increase == 20
    for number in (4, 5, 6):
        series = watched("x_total", *texts[:number])
        assert series.increase is None
        assert series.missing.startswith("more than 30 series of it came and went in the stage")
