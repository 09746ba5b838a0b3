"""Measured demand: zero, absent and unknown are three things, and what has no place is named."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from planner.errors import FeedError
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers import READERS
from planner.feeds.readers.hourly import added, recurring
from planner.feeds.tables import Reading, figures
from tests.planner.feeds.conftest import QUICK
from tests.planner.feeds.replay import AT, HOUR
from tests.planner.feeds.source_server import Reply, Source

END = AT.replace(minute=0)
WINDOW = [END - step * HOUR for step in reversed(range(14 * 24))]
Rate = Callable[[dt.datetime], float | str | None]
"""Beginning of an hour -> its sample; None: no sample."""


def series(rate: Rate, **labels: str) -> dict[str, Any]:
    values = [(end, rate(end - HOUR)) for end in WINDOW]
    shown = [
        [end.timestamp(), value if isinstance(value, str) else repr(value)]
        for end, value in values
        if value is not None
    ]
    return {"metric": labels, "values": shown}


def chat(rate: Rate, label: str = "support-chat", **labels: str) -> dict[str, Any]:
    return series(rate, model_name=label, **labels)


def read(need: Need, source: Source, *answer: Mapping[str, Any], **settings: Any) -> Reading:
    body = {"status": "success", "data": {"resultType": "matrix", "result": answer}}
    source.answer = lambda asked: Reply(json.dumps(body).encode())
    data = {"reader": "prometheus-demand", "url": source.url, **settings}
    feed = READERS["prometheus-demand"].model_validate_json(json.dumps(data), strict=True)
    with Http(QUICK) as http:
        return feed.read(need, http, AT)


def total(reading: Reading, part: str, workload: str = "support-chat") -> float:
    """Rate of a workload in a slice over all origins, requests/s."""
    found = figures("demand", reading.rows)
    return sum(v for name, v in found.items()
               if name.startswith(f"{workload}/") and f"/{part} " in name)  # fmt: skip


def by_day(when: dt.datetime) -> float | None:
    """Scaled to zero but from 8 to 16 UTC: 4 of the 6 hours of h06-12 and of h12-18."""
    return 6.0 if 8 <= when.hour < 16 else None


def always(rate: float) -> Rate:
    return lambda when: rate


# ------------------------------------------------------------------ hours without a sample


def test_by_default_a_person_must_say_what_absent_hours_mean(need: Need, source: Source) -> None:
    """Both means are told, the series and the slice, and the key with its two answers."""
    (doubt,) = read(need, source, chat(by_day)).doubts
    assert doubt.about == ("support-chat",)
    assert "support-chat: too few hours have a sample" in doubt.text
    assert "h06-12 56 of 84 hours (6 requests/s, 4 if the absent ones are 0)" in doubt.text
    assert "h00-06 0 of 84 hours" in doubt.text
    assert 'say absent = "zero"' in doubt.text
    assert '"skip"' in doubt.text


def test_lowering_the_share_does_not_let_a_part_stand_for_the_whole(
    need: Need, source: Source
) -> None:
    assert read(need, source, chat(by_day), least_hours_share=0.3).doubts


def test_absent_hours_may_count_as_zero(need: Need, source: Source) -> None:
    reading = read(need, source, chat(by_day), absent="zero")
    assert [total(reading, part) for part in ("h00-06", "h06-12", "h12-18", "h18-24")] == (
        pytest.approx([0.0, 4.0, 4.0, 0.0])
    )
    assert not reading.doubts
    assert any("counted as 0: h00-06 0 of 84 hours" in note for note in reading.notes)


def test_absent_hours_may_be_skipped(need: Need, source: Source) -> None:
    """A slice without any sample keeps its rate, and a person sees it."""
    reading = read(need, source, chat(by_day), absent="skip", least_hours_share=0.5)
    assert total(reading, "h06-12") == pytest.approx(6.0)
    assert not any("/h00-06 " in name for name in figures("demand", reading.rows))
    (doubt,) = reading.doubts
    assert "h00-06 0 of 84 hours" in doubt.text
    assert "h06-12" not in doubt.text
    assert "least_hours_share is 0.5" in doubt.text


def test_a_small_gap_is_a_note(need: Need, source: Source) -> None:
    lost = set(WINDOW[40:44])
    reading = read(need, source, chat(lambda when: None if when + HOUR in lost else 6.0))
    assert total(reading, "h00-06") == pytest.approx(6.0)
    assert not reading.doubts
    (note,) = [note for note in reading.notes if "hours without a sample" in note]
    assert note.startswith("support-chat: hours without a sample, not in the mean: h00-06 8")


def test_a_sample_that_is_no_number_is_unknown_and_not_zero(need: Need, source: Source) -> None:
    def at_night(when: dt.datetime) -> float | str:
        return "NaN" if when.hour == 3 and when.day % 7 == 0 else 6.0

    for absent in ("refuse", "zero", "skip"):
        reading = read(need, source, chat(at_night), absent=absent)
        assert total(reading, "h00-06") == pytest.approx(6.0)
        assert any("82 of 84 hours (2 unknown, 6 requests/s)" in note for note in reading.notes)
    nowhere = read(need, source, chat(lambda when: "NaN" if when.hour < 6 else 6.0), absent="zero")
    assert "h00-06 0 of 84 hours (84 unknown)" in nowhere.doubts[0].text
    assert not any("/h00-06 " in name for name in figures("demand", nowhere.rows))


def test_a_measured_zero_is_zero(need: Need, source: Source) -> None:
    reading = read(need, source, chat(lambda when: 0.0 if when.hour < 6 else 6.0))
    assert total(reading, "h00-06") == 0.0
    assert (reading.doubts, total(reading, "h06-12")) == ((), pytest.approx(6.0))


def test_a_workload_younger_than_the_window_is_named(need: Need, source: Source) -> None:
    born = END - 5 * 24 * HOUR
    young = chat(lambda when: 6.0 if when >= born else None)
    assert "shorter window_days" in read(need, source, young).doubts[0].text
    notes = read(need, source, young, absent="zero").notes
    assert any("0 until its first sample at 2026-11-19 13:00 UTC: is it new?" in n for n in notes)


# ------------------------------------------------------------------ series of one workload

BOTH = {"old": "support-chat", "new": "support-chat"}


@pytest.mark.parametrize("absent", ["refuse", "zero", "skip"])
def test_an_llm_that_was_replaced_in_the_window_is_one_workload(
    need: Need, source: Source, absent: str
) -> None:
    middle = WINDOW[len(WINDOW) // 2]
    old = chat(lambda when: 6.0 if when < middle else None, "old")
    new = chat(lambda when: 6.0 if when >= middle else None, "new")
    reading = read(need, source, old, new, workloads=BOTH, absent=absent)
    assert total(reading, "h00-06") == pytest.approx(6.0)
    assert not reading.doubts
    assert reading.notes[0].startswith("support-chat: added up: old (11-10 12:00 to 11-17 ")


def test_two_llms_that_overlap_are_added(need: Need, source: Source) -> None:
    middle = WINDOW[len(WINDOW) // 2]
    canary = chat(lambda when: 2.0 if when >= middle else None, "new")
    reading = read(need, source, chat(always(6.0), "old"), canary, workloads=BOTH)
    assert total(reading, "h06-12") == pytest.approx(7.0)
    assert not reading.doubts


def test_a_gap_inside_one_of_several_series_makes_the_sum_unknown() -> None:
    """Unless absent means zero; beyond its ends a series counts nothing."""
    one = dict.fromkeys(WINDOW[:6], 6.0)
    other = dict.fromkeys((WINDOW[1], WINDOW[3]), 2.0)
    unknown = [6.0, 8.0, None, 8.0, 6.0, 6.0]
    assert list(added([one, other], "refuse").values()) == unknown
    assert list(added([one, other], "skip").values()) == unknown
    assert list(added([one, other], "zero").values()) == [6.0, 8.0, 6.0, 8.0, 6.0, 6.0]


def test_labels_that_map_to_one_origin_are_added_too(need: Need, source: Source) -> None:
    places = {"us1": "us-east", "us2": "us-east"}
    answer = [chat(always(rate), geo=geo) for geo, rate in (("us1", 4.0), ("us2", 3.0))]
    reading = read(need, source, *answer, origin_label="geo", origins=places)
    found = figures("demand", reading.rows)
    assert found["support-chat/us-east/h06-12 requests_per_s"] == 7.0


def test_the_same_labels_twice_are_a_broken_answer(need: Need, source: Source) -> None:
    with pytest.raises(FeedError, match="two series are support-chat"):
        read(need, source, chat(always(6.0)), chat(always(6.0)))


# ------------------------------------------------------------------ without a place


def test_a_series_of_no_workload_is_named_with_its_rate_and_near_match(
    need: Need, source: Source
) -> None:
    code = series(always(30.0), model_name="code-completion")
    reading = read(need, source, chat(always(9.0), "Support-Chat"), code, series(always(3.0)))
    stranger, silent = reading.notes
    assert "'Support-Chat' (9 requests/s; did you mean support-chat?)" in stranger
    assert "one without model_name (3 requests/s)" in stranger
    assert silent.startswith("not measured, so as before: ")
    assert "support-chat" in silent
    assert "code-completion" not in silent


def test_where_nothing_has_a_place_the_failure_names_what_was_found(
    need: Need, source: Source
) -> None:
    with pytest.raises(FeedError, match="did you mean support-chat"):
        read(need, source, chat(always(9.0), "Support-Chat"))


def test_an_answer_without_series_says_so(need: Need, source: Source) -> None:
    with pytest.raises(FeedError, match="there is none at all"):
        read(need, source)


def test_ignored_series_and_workloads_are_not_told(need: Need, source: Source) -> None:
    ignore = ["theirs", *(row.workload for row in need.instance.workloads)][:-1]
    left = need.instance.workloads[-1].workload
    reading = read(need, source, chat(always(1.0), "theirs"), chat(always(1.0), left),
                   ignore=ignore)  # fmt: skip
    assert reading.notes == ()


def test_an_unknown_origin_is_doubted_and_does_not_cost_the_others(
    need: Need, source: Source
) -> None:
    answer = [chat(always(4.0), geo="us-east"), chat(always(0.5), geo="Europe")]
    reading = read(need, source, *answer, origin_label="geo")
    assert {row.origin for row in reading.rows} == {"us-east"}  # type: ignore[attr-defined]
    (doubt,) = reading.doubts
    assert "geo 'Europe' (0.5 requests/s) is no origin" in doubt.text
    assert "did you mean europe?" in doubt.text


def test_slices_may_be_measured_in_part(need: Need, source: Source) -> None:
    reading = read(need, source, chat(always(6.0)), slices=["h06-12"])
    assert {row.slice for row in reading.rows} == {"h06-12"}  # type: ignore[attr-defined]
    assert "slices not measured, so as before: h00-06, h12-18, h18-24" in reading.notes
    with pytest.raises(FeedError, match=r"slices: h6-12 not in slices\.csv; did you mean h06-12"):
        read(need, source, chat(always(6.0)), slices=["h6-12"])


def test_weekend_slices_must_be_slices(need: Need, source: Source) -> None:
    with pytest.raises(FeedError, match=r"weekend_slices: nights not in slices\.csv"):
        read(need, source, chat(always(6.0)), weekend_slices=["nights"])


# ------------------------------------------------------------------ bursts


def test_a_nightly_job_is_taken_with_a_note(need: Need, source: Source) -> None:
    reading = read(need, source, chat(lambda when: 12.0 if when.hour == 2 else 0.01))
    assert total(reading, "h00-06") == pytest.approx((12.0 + 5 * 0.01) / 6)
    assert not reading.doubts
    assert reading.notes[0] == (
        "support-chat: taken as a job that recurs: 14 hours such as 12 requests/s at "
        "2026-11-24 02:00 UTC, where the median busy hour has 0.01"
    )


def test_a_single_burst_is_doubted_with_its_time_and_key(need: Need, source: Source) -> None:
    """The table is there: it may be accepted, or the factor raised."""
    moment = dt.datetime(2026, 11, 20, 15, tzinfo=dt.UTC)
    burst = chat(lambda when: 5_000.0 if when == moment else 6.0)
    reading = read(need, source, burst)
    (doubt,) = reading.doubts
    assert doubt.text == (
        "support-chat: 5000 requests/s at 2026-11-20 15:00 UTC, where the median busy hour has 6 "
        "(outlier_factor 100)"
    )
    assert total(reading, "h12-18") > 6.0
    assert not read(need, source, burst, outlier_factor=1_000.0).doubts


def test_an_hour_recurs_if_another_day_has_it_or_its_neighbour() -> None:
    two, three, noon = (dt.datetime(2026, 11, 3, hour, tzinfo=dt.UTC) for hour in (2, 3, 12))
    later = dt.timedelta(days=4)
    assert recurring([two, three]) == set()
    assert recurring([two, three + later, noon]) == {two, three + later}


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("text", "rate"),
    [("0.30000000000000004", 0.30000000000000004), ("1e-05", 1e-5), ("1.25E+01", 12.5),
     ("6", 6.0), (".5", 0.5)],
)  # fmt: skip
def test_samples_are_read_as_programs_write_them(
    need: Need, source: Source, text: str, rate: float
) -> None:
    assert total(read(need, source, chat(lambda when: text)), "h06-12") == pytest.approx(rate)


@pytest.mark.parametrize("text", ["+Inf", "-1", "1,5", "six", "", "nan"])
def test_what_is_no_sample_is_named_with_its_series(need: Need, source: Source, text: str) -> None:
    with pytest.raises(FeedError, match=r"support-chat: .* is no sample of a counter"):
        read(need, source, chat(lambda when: text))
