"""A host's share: a value that survives being sent, and is measured by one function."""

from __future__ import annotations

import threading
from contextlib import closing

from harness.campaign.host import measure
from harness.campaign.share import Share
from harness.core.reason import plain
from harness.core.records import Status
from harness.transports.local.transport import LocalTransport

BODY = "open('../../journal', 'a').write(job['launch'] + '\\n')\nall_of_it()"


def _two_cases(bench):
    bench.double(BODY, "one")
    bench.double(BODY, "two")
    return bench.run(launches=2)


def test_a_share_that_was_sent_is_measured_in_the_same_order(bench):
    execution = bench.execution(_two_cases(bench), bench.recorder())
    (share,) = execution.shares
    sent = Share.model_validate_json(share.model_dump_json())
    assert sent == share
    assert [record.artifact.files for record in sent.cases] == [{"model.onnx": _digest(bench)}] * 2
    launches = list(measure(sent, execution.means))
    assert [(each.case_id, each.slot) for each in launches] == [
        (slot.case_id, slot.slot) for slot in share.slots
    ]
    assert [each.status for each in launches] == [Status.OK] * 4
    begun = (bench.folder / "work" / "journal").read_text().split()
    assert begun == [each.id for each in launches]


def _digest(bench):
    return bench._artifact().record.files["model.onnx"]


def test_what_was_yielded_and_not_stored_stays_on_its_device_and_is_collected(bench):
    run = _two_cases(bench)
    execution = bench.execution(run, bench.recorder())
    with closing(measure(execution.shares[0], execution.means)) as launches:
        taken = next(launches)  # and whoever took it dies
    again = bench.execution(run, bench.recorder())
    collected = next(measure(again.shares[0], again.means))
    assert (collected.id, collected.wall_s) == (taken.id, None)
    assert (bench.folder / "work" / "journal").read_text().split() == [taken.id]


def test_what_a_run_has_of_a_share_is_sent_along(bench):
    run = _two_cases(bench)
    _, launches = bench.measure(run)
    execution = bench.execution(bench.store.load(run.id), bench.recorder())
    sent = Share.model_validate_json(execution.shares[0].model_dump_json())
    assert len(sent.attempts) == len(launches) == 4
    assert list(measure(sent, execution.means)) == []


def test_a_case_that_is_left_out_from_the_start_is_not_launched(bench):
    run = _two_cases(bench)
    execution = bench.execution(run, bench.recorder())
    one, two = (record.case.id for record in run.cases)
    execution.means.left_out[one] = plain("its artifact is not here")
    launches = list(measure(execution.shares[0], execution.means))
    assert [each.case_id for each in launches] == [two, two]


def test_two_threads_measure_two_shares(bench):
    bench.others = {"there": LocalTransport()}
    execution = bench.execution(_two_cases(bench), bench.recorder())
    assert [share.host for share in execution.shares] == ["there", "this-machine"]
    assert all(set(share.devices) for share in execution.shares)
    together = threading.Barrier(2, timeout=60)
    found = {}

    def take(share):
        together.wait()
        found[share.host] = [
            (each.case_id, each.slot, each.status) for each in measure(share, execution.means)
        ]

    threads = [threading.Thread(target=take, args=[share]) for share in execution.shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {
        share.host: [(slot.case_id, slot.slot, Status.OK) for slot in share.slots]
        for share in execution.shares
    }
    assert len({case for made in found.values() for case, *_ in made}) == 4
