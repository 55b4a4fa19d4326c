"""Records of earlier versions are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from harness.core.contract import EnvironmentEvent
from harness.core.records import Launch, Status

LAUNCH = Launch(
    id="l", case_id="c", slot=0, attempt=0, position=0, status=Status.OK,
    started=datetime(2026, 11, 30, tzinfo=UTC),
)  # fmt: skip
EARLIER = {**LAUNCH.model_dump(mode="json"), "layers": [], "watch": []}
HOT = EnvironmentEvent(phase="during", temperatures_c={"soc": 70.0})
MILD = EnvironmentEvent(phase="before", temperatures_c={"soc": 40.0})


def read(**changes):
    return Launch.model_validate_json(json.dumps({**EARLIER, **changes}))


def test_an_earlier_launch_is_one_of_today():
    assert read() == LAUNCH


def test_what_the_supervisor_watched_counts_before_what_the_runner_read():
    told, watched = ([each.model_dump(mode="json")] for each in (MILD, HOT))
    assert read(environment=told, watch=watched).environment == [HOT]
    assert read(environment=told).environment == [MILD]


def test_layers_of_an_earlier_launch_are_its_profile():
    found = read(layers=[{"name": "n", "op": "Conv", "target": "NPU", "us": 7}])
    (layer,) = found.profile.layers
    assert (layer.unit, layer.us) == ("NPU", 7)
    again = Launch.model_validate_json(found.model_dump_json())
    assert again == found
    assert not {"watch", "layers"} & found.model_dump().keys()
