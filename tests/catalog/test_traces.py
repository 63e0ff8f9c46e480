import gzip
import json
import lzma

import numpy as np
import pytest

from chipwise.catalog.traces import read_trace, trace, trace_ids
from chipwise.errors import BadInput, UnknownName

HEAD = "arrival_s,prompt,output\n"


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def row(**changed):
    record = {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [7, 8]}
    return json.dumps(record | changed) + "\n"


def test_the_catalogs_traces_have_the_published_sizes():
    assert trace_ids() == ("azure2023_code", "azure2023_conv", "mooncake_conversation")
    conv, mooncake = trace("azure2023_conv"), trace("mooncake_conversation")
    assert (len(conv.isl), conv.isl[0], conv.osl[0]) == (19366, 374, 44)
    assert conv.prompts is None
    assert len(mooncake.isl) == 12031
    assert (np.diff(mooncake.arrival) >= 0).all()
    assert mooncake.arrival[-1] == pytest.approx(3536.999)


def test_csv_in_any_order_of_columns_with_others_and_priorities(tmp_path):
    path = write(
        tmp_path, "a.csv", "priority,output,x,prompt,arrival_s\n2,5,?,10,0\n\n1,6,?,20,0.5\n"
    )
    found = read_trace(path)
    assert list(found.arrival) == [0.0, 0.5]
    assert list(found.isl) == [10, 20]
    assert list(found.osl) == [5, 6]
    assert list(found.priority) == [2.0, 1.0]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_packed_files_are_read(tmp_path, suffix, pack):
    path = tmp_path / f"a.csv.{suffix}"
    path.write_bytes(pack(b"\xef\xbb\xbf" + (HEAD + "1,2,3\n").encode()))
    assert read_trace(path).isl[0] == 2
    path.write_bytes(pack(b"x")[:-4])
    with pytest.raises(BadInput, match="not a whole"):
        read_trace(path)


def test_mooncake_ids_are_runs_of_512_tokens(tmp_path):
    text = row() + row(timestamp=1500, input_length=512, hash_ids=[7])
    found = read_trace(write(tmp_path, "a.jsonl", text))
    assert list(found.arrival) == [0.0, 1.5]
    assert list(found.prompts.offset) == [0, 2, 3]
    assert list(found.prompts.ident) == [7, 8, 7]
    assert set(found.prompts.length) == {512}
    assert len(set(found.prompts.output) - {7, 8}) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: no column arrival_s, prompt, output"),
        ("arrival_s,prompt\n0,1\n", "line 1: no column output"),
        (HEAD, "no request in it"),
        (HEAD + "0,1,1\n1,x,1\n", r"line 3, column prompt: 'x' is not a finite number"),
        (HEAD + "nan,1,1\n", "line 2, column arrival_s: 'nan' is not a finite number"),
        (HEAD + "-1,1,1\n", "line 2, column arrival_s: -1 is negative"),
        (HEAD + "2,1,1\n1,1,1\n", r"line 3, column arrival_s: 1 is before .* sort the requests"),
        (HEAD + "0,0,1\n", "line 2, column prompt: 0 must be a whole number of at least 1"),
        (HEAD + "0,1,0\n", "line 2, column output: 0 must be a whole number of at least 1"),
        (HEAD + "0,1.5,1\n", "line 2, column prompt: 1.5 must be a whole number"),
        (HEAD + "0,1,1e300\n", "line 2, column output: 1e300 must be a whole number"),
        (HEAD + "0,1\n", "line 2, column 3: 2 values where the heading has 3"),
        (HEAD + "0,1,2,3\n", "line 2, column 4: 4 values where the heading has 3"),
        ("arrival_s,prompt,output,priority\n0,1,1,high\n", "line 2, column priority: 'high'"),
    ],
)
def test_a_fault_in_a_csv_names_its_place(tmp_path, text, says):
    with pytest.raises(BadInput, match=rf"a\.csv: .*{says}"):
        read_trace(write(tmp_path, "a.csv", text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n", "no request in it"),
        (row() + '{"timestamp": 0,}\n', "line 2, column 1[67]: not valid JSON"),
        ("[1]\n", "line 1, column 1: not a JSON object"),
        ('{"timestamp": 0}\n', "line 1, column input_length: missing"),
        (row(timestamp=None), "column timestamp: None is not a finite number"),
        (row(timestamp=True), "column timestamp: True is not a finite number"),
        (row(timestamp=5) + row(), "line 2, column timestamp: 0 is before"),
        (row(input_length=0), "column input_length: 0 must be a whole number"),
        (row(hash_ids=[1]), "column hash_ids: 1 ids for 600 tokens, which are 2 chunks"),
        (row(hash_ids=[1, "x"]), "column hash_ids: not a list of whole numbers"),
        (row(hash_ids=5), "column hash_ids: not a list of whole numbers"),
    ],
)
def test_a_fault_in_a_jsonl_names_its_place(tmp_path, text, says):
    with pytest.raises(BadInput, match=rf"a\.jsonl: .*{says}"):
        read_trace(write(tmp_path, "a.jsonl", text))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"a trace is a \.csv or a \.jsonl file"):
        read_trace(write(tmp_path, "a.txt", "x"))
    with pytest.raises(BadInput, match="there is no such file"):
        trace(str(tmp_path / "none.csv"))
    path = tmp_path / "b.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not a text file"):
        read_trace(path)
    with pytest.raises(UnknownName, match="azure2023_conv"):
        trace("azure_conv")
