"""Tables and outputs as people publish them; all figures in tests/data/tables are made up."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import SpecificationError
from harness.results.imports import read_table
from harness.results.tables import read_grid
from tests.results.test_imports import CITED

DATA = Path(__file__).parent.parent / "data" / "tables"


def read(path, mapping=None, constants=None):
    return read_table(path, "t", CITED, mapping=mapping or {}, constants=constants or {})


def test_markdown_has_outer_bars_and_a_rule():
    mapping = {"model": "Model", "device": "Device", "threads": "Threads"}
    table = read(DATA / "markdown.md", mapping | {"latency_ms": "Latency (ms)"}).table
    found = [(each.model, each.threads, each.latency_ms, each.cell.line) for each in table.figures]
    assert found == [("mobilenet_v2", 4, 8.31, 3), ("resnet50", 4, 62.07, 4)]


@pytest.mark.parametrize(
    "text",
    [
        "model | device | latency_ms\n--- | --- | ---\nm | d | 1.5\n",
        "# A board\n\n|model|device|latency_ms|\n|--|:-:|--:|\n|**m**|`d`|1.5|\n\nThat is it.\n",
        "sep=;\nmodel;device;latency_ms\nm;d;1.5\n",
        '"sep=\t"\nmodel\tdevice\tlatency_ms\nm\td\t1.5\n',
    ],
)
def test_tables_as_editors_write_them(tmp_path, text):
    (tmp_path / "t.md").write_text(text)
    (figure,) = read(tmp_path / "t.md").table.figures
    assert (figure.model, figure.device, figure.latency_ms) == ("m", "d", 1.5)
    assert figure.cell.line == text.splitlines().index(next(
        line for line in text.splitlines() if "1.5" in line
    )) + 1  # fmt: skip


def test_two_markdown_tables_are_imported_one_at_a_time(tmp_path):
    table = "| model | device | latency_ms |\n|--|--|--|\n| m | d | 1.5 |\n"
    (tmp_path / "t.md").write_text(f"{table}\n{table}")
    with pytest.raises(SpecificationError, match=r"t\.md:5: a second table"):
        read(tmp_path / "t.md")


def test_a_column_for_each_device_and_frames_per_second():
    mapping = {"fps@RK3562": "RK3562", "fps:npu@RK3588": "RK3588 @single_core"}
    reading = read(DATA / "rknn_fps.csv", mapping)
    first, second = reading.table.figures[:2]
    assert (first.model, first.device, first.backend) == ("mobilenetv2", "RK3562", None)
    assert (second.device, second.backend) == ("RK3588", "npu")
    assert first.latency_ms == pytest.approx(1000 / 281.3)
    assert first.derived == "1000 / 281.3 frames per second"
    assert first.cell.text == "281.3"
    assert "RV1126" in reading.left_out


@pytest.mark.parametrize(
    ("header", "mapping", "says"),
    [
        ("RK3588 (FPS)", {"latency_ms": "RK3588 (FPS)"}, "is a rate, not a latency.*fps="),
        ("images/s", {"latency_ms": "images/s"}, "is a rate"),
        ("Latency (us)", {"latency_ms": "Latency (us)"}, "is in us, not in ms.*latency_us="),
        ("FPS 3 cores", {"fps": "FPS 3 cores"}, "over several cores"),
        ("FPS 8 streams", {"fps": "FPS 8 streams"}, "over several cores, streams"),
    ],
)
def test_a_column_that_says_to_be_something_else(tmp_path, header, mapping, says):
    (tmp_path / "t.csv").write_text(f"model,device,{header}\nm,d,281\n")
    with pytest.raises(SpecificationError) as refused:
        read(tmp_path / "t.csv", mapping)
    assert re.search(says, f"{refused.value.message} {refused.value.hint}")


def test_a_rate_over_several_streams_is_no_latency(tmp_path):
    (tmp_path / "t.csv").write_text("model,device,fps,streams\nm,d,100,1\nn,d,400,4\n")
    with pytest.raises(SpecificationError, match="a rate over 4 streams is not a latency"):
        read(tmp_path / "t.csv")


def test_rows_that_sum_up_are_left_out_and_no_message_shows_an_object(tmp_path):
    (tmp_path / "t.csv").write_text("model,device,latency_ms\nm,d,2\nAverage,,2\n")
    reading = read(tmp_path / "t.csv")
    assert (len(reading.table.figures), reading.summaries) == (1, [3])
    (tmp_path / "t.csv").write_text("model,device,latency_ms\nm,,2\n")
    with pytest.raises(SpecificationError, match="device: the cell is empty") as refused:
        read(tmp_path / "t.csv")
    assert "Cell(" not in refused.value.message


@pytest.mark.parametrize(
    ("file", "constants", "figures"),
    [
        (
            "benchncnn.txt",
            {},
            [
                ("squeezenet", "ncnn", "cpu", 4, 2.80, "mean", 6),
                ("mobilenet", "ncnn", "cpu", 4, 4.27, "mean", 7),
                ("mobilenet_v2", "ncnn", "cpu", 4, 3.47, "mean", 8),
            ],
        ),
        (
            "mnn.txt",
            {},
            [
                ("resnet-v2-50", "mnn", "cpu", 4, 121.41, "mean", 5),
                ("mobilenet-v1-1.0", "mnn", "cpu", 4, 15.48, "mean", 6),
            ],
        ),
        ("tflite.txt", {}, [("mobilenet_v2", "tflite", None, 4, 14.5752, "mean", 8)]),
        (
            "benchmark_app.txt",
            {"model": "resnet50"},
            [("resnet50", "openvino", "cpu", None, 9.12, "median", 14)],
        ),
        ("benchmark_app.csv", {}, [("resnet50", "openvino", "cpu", None, 9.12, "median", 12)]),
        (
            "mlperf.txt",
            {"model": "resnet50"},
            [("resnet50", None, None, None, 2.362345, "median", 16)],
        ),
    ],
)
def test_what_benchmark_tools_print(file, constants, figures):
    table = read(DATA / file, constants={"device": "board"} | constants).table
    assert [
        (
            each.model,
            each.engine,
            each.backend,
            each.threads,
            each.latency_ms,
            each.statistic,
            each.cell.line,
        )
        for each in table.figures
    ] == figures
    assert {each.device for each in table.figures} == {"board"}


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("benchmark_app.txt", "NUM_STREAMS: 1", "NUM_STREAMS: 4", "4 requests at once"),
        ("benchmark_app.csv", "infer requests;1", "infer requests;4", "-nstreams 1"),
        ("mlperf.txt", "SingleStream", "Offline", "scenario Offline"),
        ("mlperf.txt", ": VALID", ": INVALID", "marks this result as invalid"),
        ("tflite.txt", "Inference (avg)", "Inference", "no latency in this output"),
    ],
)
def test_an_output_without_a_latency_of_one_inference_is_refused(tmp_path, file, old, new, says):
    text = (DATA / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    with pytest.raises(SpecificationError) as refused:
        read(tmp_path / file, constants={"device": "board", "model": "m"})
    assert says in f"{refused.value.message} {refused.value.hint}"


def test_a_printed_output_says_what_is_missing():
    with pytest.raises(SpecificationError) as refused:
        read(DATA / "benchncnn.txt")
    assert refused.value.hint == "--set device=NAME"


@given(st.text(alphabet="|-: \\ab1\n;,", max_size=60))
def test_whatever_the_text_is_the_rows_are_as_long_as_the_header(text):
    with suppress(SpecificationError):
        grid = read_grid(text, ",", {})
        assert {len(row) for _, row in grid.rows} <= {len(grid.header)}
