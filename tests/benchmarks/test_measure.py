"""The harness: agreement comes before timing, ratios are what they say, failures of peers are listed and not hidden."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from benchmarks.harness import measure as measure_module
from benchmarks.harness.facts import Limits
from benchmarks.harness.measure import Absent, Contestant, Tolerance, Workload, measure
from benchmarks.harness.peers import load
from benchmarks.harness.report import comparisons, headline, print_absent, print_result, result_as_json, write_json

REFERENCE = np.arange(4.0)


class Clock:
    """Time that passes only when somebody works, so that nothing here depends on how busy the machine is."""

    now = 0.0

    def perf_counter(self):
        return self.now


CLOCK = Clock()


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(measure_module, "time", SimpleNamespace(perf_counter=CLOCK.perf_counter))


def contestant(name, *, seconds=1e-6, answer=REFERENCE, error=None, **more):
    def call():
        if error is not None:
            raise error
        CLOCK.now += seconds
        return answer

    return Contestant(name, "how", call, answer.size, lambda got: {"x": got}, **more)


def workload(*contestants, **more):
    return Workload("row, float64", "an item", {"x": REFERENCE}, {"x": Tolerance(absolute=1e-6)}, contestants, **more)


def run(row, rounds=3):
    return measure(row, rounds=rounds, least_sample=1e-4)


def test_ratios_are_those_of_the_times():
    result = run(workload(contestant("ours", seconds=0.001, ours=True), contestant("peer", seconds=0.004)))
    comparison = comparisons(result)["ours"]["fastest_peer"]
    assert comparison["ratio"] == pytest.approx(4.0)
    assert comparison["quartiles_of_rounds"] == pytest.approx([4.0, 4.0])
    assert [len(outcome.times) for outcome in result.outcomes] == [3, 3]


def test_times_are_per_item_and_repeated_until_a_sample_is_long_enough():
    result = run(workload(contestant("ours", seconds=0.002, ours=True), contestant("quick", seconds=1e-6)))
    slow, quick = result.outcomes
    assert slow.median == pytest.approx(0.002 / REFERENCE.size)
    assert slow.repeats == 1
    assert quick.median == pytest.approx(1e-6 / REFERENCE.size)
    assert 100 <= quick.repeats <= 200


def test_rounds_are_compared_with_themselves():
    # A machine that is ten times slower in every second round slows both alike.
    slow = [1.0, 10.0] * 10

    def drifting(name, seconds, **more):
        calls = iter(slow)

        def call():
            CLOCK.now += seconds * next(calls, 1.0)
            return REFERENCE

        return Contestant(name, "how", call, REFERENCE.size, lambda got: {"x": got}, **more)

    result = run(workload(drifting("ours", 1.0, ours=True), drifting("peer", 3.0)), rounds=6)
    assert comparisons(result)["ours"]["fastest_peer"]["ratio"] == pytest.approx(3.0)
    assert comparisons(result)["ours"]["fastest_peer"]["quartiles_of_rounds"] == pytest.approx([3.0, 3.0])


def test_a_peer_that_disagrees_is_marked_and_never_the_one_to_beat():
    wrong = contestant("wrong", answer=REFERENCE + np.array([0.0, 0.0, 1e-3, 0.0]))
    result = run(workload(contestant("ours", ours=True), wrong, contestant("right", seconds=0.001)))
    assert result.fastest(ours=False).name == "right"
    disagreement = {o.name: o.disagreement for o in result.outcomes}
    assert disagreement["wrong"].startswith("x off on 1 of 4, e.g. item 2")
    assert disagreement["right"] is None


def test_not_a_number_disagrees():
    result = run(workload(contestant("ours", answer=np.array([0.0, np.nan, 2.0, 3.0]), ours=True)))
    assert "off on 1 of 4" in result.outcomes[0].disagreement


def test_fewer_items_are_compared_with_the_first_of_the_reference():
    result = run(workload(contestant("ours", ours=True), contestant("some", answer=REFERENCE[:2])))
    assert [o.disagreement for o in result.outcomes] == [None, None]


def test_internal_forms_count_apart():
    result = run(
        workload(contestant("ours", ours=True), contestant("core", internal=True), contestant("peer", seconds=0.001))
    )
    found = comparisons(result)["ours"]
    assert found["fastest_peer"]["to"] == "peer"
    assert found["fastest_below_public_interface"]["to"] == "core"


def test_a_peer_that_raises_is_absent_with_its_reason_but_gpujax_raising_ends_the_run():
    result = run(workload(contestant("ours", ours=True), contestant("broken", error=TypeError("no such thing"))))
    assert [o.name for o in result.outcomes] == ["ours"]
    assert result.workload.absent == [Absent("broken", "raised TypeError: no such thing")]
    with pytest.raises(TypeError, match="ours is broken"):
        run(workload(contestant("ours", error=TypeError("ours is broken"), ours=True)))


def test_a_missing_library_is_named_with_the_reason():
    module, absent = load("somebody", "surely_not_installed_anywhere")
    assert module is None
    assert absent == [Absent("somebody", "ModuleNotFoundError: No module named 'surely_not_installed_anywhere'")]
    json_module, none = load("json", "json")
    assert json_module is json
    assert none == []


def test_report_names_everybody_and_keeps_every_timing(tmp_path):
    absent = [Absent("gone", "not installed")]
    row = workload(contestant("ours", ours=True), contestant("peer"), absent=absent, bytes_per_item=16.0)
    result = run(row)
    limits = Limits(1e9, 1e9, 1e9)
    console = Console(width=160, record=True)
    print_result(console, result, limits)
    print_absent(console, [result])
    text = console.export_text()
    assert "absent: gone: not installed" in text
    assert all(name in text for name in ("ours", "peer", "gone"))
    assert any("memory bandwidth" in line for line in headline(result, limits))

    write_json(tmp_path / "new" / "row.json", result_as_json(result, limits))
    stored = json.loads((tmp_path / "new" / "row.json").read_text())
    assert [len(c["seconds_per_item"]) for c in stored["contestants"]] == [3, 3]
    assert stored["absent"] == [{"name": "gone", "reason": "not installed"}]
    median = np.median(stored["contestants"][0]["seconds_per_item"])
    assert stored["share_of_limits"]["memory bandwidth"] == pytest.approx(16.0 / median / 1e9)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["row.json"]  # no temporary file left
