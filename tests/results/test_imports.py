"""Published tables are read strictly: what is not a figure is a fault, with its line."""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import SpecificationError
from harness.results.imports import MAX_BYTES, MAX_ROWS, Citation, read_table

PUBLISHED = Path(__file__).parent.parent / "data" / "published" / "published-npu.csv"
CITED = Citation("https://example.org", "Apache-2.0", date(2023, 1, 2))
WIDE = {"device": "chip", "latency_ms:cpu": "cpu_ms", "latency_ms:npu": "npu_ms"}


def read(path, mapping=None, constants=None, **more):
    return read_table(
        path, "t", CITED, mapping=mapping or {}, constants=constants or {}, **more
    )  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_the_published_table_of_this_repository():
    reading = read(PUBLISHED, WIDE, {"engine": "paddle-lite"})
    table = reading.table
    assert (len(table.figures), reading.left_out, reading.empty) == (36, [], 0)
    assert table.published == date(2023, 1, 2)
    assert table.mapping["device"] == "chip"
    assert table.mapping["engine"] == "=paddle-lite"
    figure = next(each for each in table.figures if each.backend == "npu:rockchip_npu")
    assert (figure.model, figure.device, figure.precision) == ("mobilenet_v1", "RK1808 EVB", "int8")
    assert figure.latency_ms == 6.9828
    assert (figure.cell.text, figure.cell.line, figure.cell.column) == ("6.982800", 11, "npu_ms")
    assert figure.source == "v2.12 docs/demo_guides/rockchip_npu.md"


def test_units_intervals_and_what_stands_behind_a_figure(write):
    path = write(
        "\ufeffmodel;device;us;lo;hi;n;threads;note\n"
        'a;"board; the big";1500;1400;1600;30;4;x\n\n'
        "b;board;-;;;;;y\n"
    )
    mapping = {"latency_us": "us", "low_us": "lo", "high_us": "hi", "samples": "n"}
    reading = read(path, mapping, delimiter=";")
    (figure,) = reading.table.figures
    assert (figure.latency_ms, figure.low_ms, figure.high_ms) == (1.5, 1.4, 1.6)
    assert (figure.samples, figure.threads, figure.device) == (30, 4, "board; the big")
    assert (reading.left_out, reading.empty) == (["note"], 1)


def test_lines_are_those_of_the_file(write):
    path = write('model,device,latency_ms\r\n"a\r\nb",d,1\r\n\r\nc,d,2\r\n')
    assert [each.cell.line for each in read(path).table.figures] == [2, 5]


GOOD = "model,device,latency_ms\nm,d,1.5\n"
HOSTILE = {
    "empty": ("", "empty"),
    "header only": ("model,device,latency_ms\n", "0 figures"),
    "latin-1": (b"model,device,latency_ms\nm,caf\xe9,1\n", ":2: not UTF-8"),
    "utf-16": (GOOD.encode("utf-16"), "not UTF-8"),
    "nul": (GOOD + "m,d\0,1\n", ":3: a NUL"),
    "short row": (GOOD + "m,d\n", ":3: 2 cells instead of 3"),
    "long row": (GOOD + "m,d,1,2\n", ":3: 4 cells instead of 3"),
    "open quote": (GOOD + '"m,d,1\n', ":3: unexpected end of data"),
    "after a quote": (GOOD + '"m"x,d,1\n', ":3: "),
    "one column": ("model;device;latency_ms\n", "--delimiter ';'"),
    "twice named": ("model,device,latency_ms,device\n", "two columns are named 'device'"),
    "nameless": ("model,device,latency_ms,\n", "a column has no name"),
    "zero": (GOOD + "m,d,0.0\n", ":3: latency_ms: "),
    "negative": (GOOD + "m,d,-1\n", "'-1' is not a positive number"),
    "nan": (GOOD + "m,d,nan\n", "'nan' is not a positive number"),
    "infinite": (GOOD + "m,d,inf\n", "'inf' is not a positive number"),
    "overflow": (GOOD + "m,d,1e999\n", "latency_ms: "),
    "absurd": (GOOD + "m,d,1e300\n", "latency_ms: "),
    "hexadecimal": (GOOD + "m,d,0x10\n", "is not a positive number"),
    "underscores": (GOOD + "m,d,1_0\n", "is not a positive number"),
    "other digits": (GOOD + "m,d,\u0661\n", "is not a positive number"),
    "decimal comma": (GOOD + 'm,d,"1,5"\n', "a decimal comma?"),
    "formula": (GOOD + "m,d,=1+1\n", "is not a positive number"),
    "no model": (GOOD + ",d,1\n", ":3: model: "),
    "long name": (GOOD + f"{'m' * 201},d,1\n", ":3: model: "),
    "wide": (",".join(map(str, range(201))), "more than 200 columns"),
    "long": (GOOD + "m,d,1\n" * MAX_ROWS, f"more than {MAX_ROWS} rows"),
    "huge": (GOOD + " " * MAX_BYTES, "exceeds the 4 MiB limit"),
    "threads": ("model,device,latency_ms,threads\nm,d,1,-2\n", "'-2' is not a whole number"),
    "no threads": ("model,device,latency_ms,threads\nm,d,1,0\n", ":2: threads: "),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_table(write, kind):
    content, message = HOSTILE[kind]
    with pytest.raises(SpecificationError) as error:
        read(write(content))
    assert message in f"{error.value.message} {error.value.hint}"
    assert len(error.value.message) < 5000


@pytest.mark.parametrize(
    ("mapping", "constants", "message"),
    [
        ({"latncy_ms": "latency_ms"}, {}, "unknown field 'latncy_ms'.*'latency_ms'"),
        ({"latency_h": "latency_ms"}, {}, "unknown field 'latency_h'"),
        ({"latency_ms:tpu": "latency_ms"}, {}, "unknown field"),
        ({"device": "chip"}, {}, "no column 'chip' for device"),
        ({}, {"model": "m"}, "both a column and a constant for model"),
        ({"statistic": "device"}, {}, "no column for device"),
        ({"statistic": "latency_ms"}, {}, "no column of latencies"),
        ({}, {"threads": "many"}, "threads: 'many'"),
        ({}, {"engine": "e" * 300}, "engine: "),
    ],
)
def test_what_is_no_mapping(write, mapping, constants, message):
    path = write(GOOD)
    with pytest.raises(SpecificationError) as error:
        read(path, mapping, constants)
    assert re.search(message, f"{error.value.message} {error.value.hint}")


def test_all_faults_are_named_up_to_a_bound(write):
    with pytest.raises(SpecificationError) as error:
        read(write(GOOD + "m,d,x\n" * 3))
    assert error.value.message.count("is not a positive number") == 3
    with pytest.raises(SpecificationError, match="and 480 more"):
        read(write(GOOD + "m,d,x\n" * 500))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SpecificationError, match="No such file"):
        read(tmp_path / "absent.csv")
    with pytest.raises(SpecificationError, match="Is a directory"):
        read(tmp_path)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
            st.one_of(st.floats().map(str), st.integers().map(str), st.text(max_size=6)),
        ),
        max_size=6,
    ),
    st.binary(max_size=20),
)
@settings(max_examples=150, deadline=None)
def test_anything_is_read_or_refused(tmp_path_factory, rows, tail):
    """Whatever it says, a file is imported as it stands or refused; never with another error."""
    text = io.StringIO()
    csv.writer(text).writerows([("model", "device", "latency_ms"), *rows])
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass") + tail)
    try:
        table = read(path).table
    except SpecificationError:
        return
    for figure in table.figures:
        assert 0 < figure.latency_ms <= 86_400_000
        assert figure.model == figure.model.strip()
