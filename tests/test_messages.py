"""Wrong input: one line that says what, where and what would be right; its exit code; no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipwise.cli import main

ESTIMATE = "estimate llama-2-70b --chip h200 --weights fp8 --isl 2048 --osl 128"
BATCH = f"{ESTIMATE} --batch 8"
PLAN = "plan llama-2-70b --chips h200,h100 --isl 2048 --osl 128 --no-simulate"
SIMULATE = "simulate --step-time 0.01,5e-5,5e-5,2e-8 --kv-blocks 3000"
RATE = f"{SIMULATE} --rate 1 --isl 10 --osl 10"

FILES = {
    "bin.toml": b"\xff\xfe\x00\x81",
    "bin.json": b"\xff\xfe\x00\x81",
    "bin.csv": b"\xff\xfe\x00\x81",
    "broken.toml": b'a = 1\nisl = "x\n',
    "broken.json": b'{"a"',
    "odd.json": b'{"a": 1}',
    "list.json": b"[]",
    "key.toml": b"isle = 3",
    "text.toml": b'# a comment\nisl = "abc"',
    "number.toml": b"chips = 3",
    "flag.toml": b"simulate = 3",
    "choice.toml": b'mode = "x"',
    "nested.toml": b"kv = {a = 1}",
    "late.csv": b"arrival_s,prompt,output\n1,2,3\n0,2,3\n",
    "nan.csv": b"arrival_s,prompt,output\nnan,2,3\n",
    "half.csv": b"arrival_s,prompt,output\n0,2.5,3\n",
    "short.csv": b"arrival_s,prompt,output\n0,2\n",
    "empty.csv": b"arrival_s,prompt,output\n",
    "zero.csv": b"",
    "plain.txt": b"",
    "deep.toml": b"isl = " + b"[" * 100_000,
    "deep.json": b"[" * 100_000,
    "long.toml": b"isl = " + b"9" * 5000,
    "long.json": b'{"model_type": ' + b"9" * 5000 + b"}",
    "nul.toml": b'chips = ["a\\u0000.toml"]',
    "moment.toml": b"on = 2026-11-23T10:00:00",
    "link.toml": b"link = 50.0",
    "long.csv": b"arrival_s,prompt,output\n" + b"1" * 200_000 + b",2,3\n",
    "huge.jsonl": b'{"timestamp": 0, "input_length": 1%s, "output_length": 3, "hash_ids": []}'
    % (b"0" * 400),
    "deep.jsonl": b"[" * 100_000,
    "torn.csv.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff",
    "broken.jsonl": b'{"timestamp": 0\n',
}

# Arguments, exit code, what the message must say.
CASES = [
    ("foo", 2, "unknown command 'foo'", "nearest"),
    ("plans", 2, "plan"),
    ("--foo", 2, "--foo"),
    ("chips nvidia-h20", 2, "ambiguous", "nvidia-h20-96", "nvidia-h20-141"),
    ("chips h2000", 2, "unknown chip 'h2000'", "h200"),
    ("chips ''", 2, "unknown chip"),
    ("chips none.toml", 2, "none.toml", "no such file"),
    ("chips bin.toml", 2, "bin.toml", "UTF-8"),
    ("chips broken.toml", 2, "broken.toml", "TOML", "line 2"),
    ("chips folder.toml", 2, "folder.toml", "directory"),
    ("models lama-2", 2, "unknown model", "llama-2"),
    ("models bin.json", 2, "bin.json", "UTF-8"),
    ("models broken.json", 2, "broken.json", "line 1"),
    ("models odd.json", 2, "odd.json", "model_type"),
    ("models list.json", 2, "list.json", "object"),
    ("models ./folder", 2, "folder", "config.json"),
    ("prices foo", 2, "unknown chip 'foo'"),
    ("sources foo", 2, "unknown source 'foo'"),
    ("rules foo", 2, "unknown rule 'foo'"),
    ("policy h9", 2, "unknown chip 'h9'"),
    ("policy h200 --to China", 2, "--to", "two letters"),
    ("policy h200 --to ''", 2, "--to", "two letters"),
    ("policy h200 --on 2026-13-01", 2, "--on", "2026-11-23"),
    ("policy h200 --on tomorrow", 2, "--on", "today"),
    ("policy h200 --route ship", 2, "--route", "rent-abroad"),
    (ESTIMATE, 2, "batch", "concurrency"),
    (f"{ESTIMATE} --batch 0", 2, "--batch", "whole number"),
    (f"{ESTIMATE} --batch -3", 2, "--batch", "whole number"),
    (f"{ESTIMATE} --batch nan", 2, "--batch", "max"),
    (f"{ESTIMATE} --batch 99999999999999999999", 2, "--batch", "10,000,000"),
    (f"{ESTIMATE} --batch 100000", 1, "does not fit", "holds"),
    (f"{ESTIMATE} --batch 4 --concurrency 3", 2, "either"),
    (f"{ESTIMATE} --concurrency 0", 2, "--concurrency"),
    (f"{BATCH} --tp 3", 2, "64 attention heads", "1, 2, 4, 8"),
    (f"{BATCH} --tp 16", 2, "8"),
    (f"{BATCH} --tp 0", 2, "--tp"),
    (f"{BATCH} --tp 1.5", 2, "--tp", "whole"),
    (f"{BATCH} --pp 1000", 2, "80 layers"),
    (f"{BATCH} --ep 2", 2, "experts"),
    (f"{BATCH} --weights fp7", 2, "fp7", "fp8"),
    (f"{BATCH} --weights ''", 2, "unknown weight format"),
    (f"{BATCH} --kv nvfp4", 2, "nvfp4", "fp8"),
    (f"{BATCH} --backend tensorrt", 2, "tensorrt", "trtllm"),
    (f"{BATCH} --chunk 0", 2, "--chunk"),
    (f"{BATCH} --prefix-hit 1", 2, "--prefix-hit", "below 1"),
    (f"{BATCH} --prefix-hit nan", 2, "--prefix-hit"),
    (f"{BATCH} --cost lease", 2, "own", "rent"),
    (f"{BATCH} --price h200", 2, "h200=2.5"),
    (f"{BATCH} --price h200=x", 2, "above zero"),
    (f"{BATCH} --price h200=-1", 2, "above zero"),
    (f"{BATCH} --price h200=nan", 2, "above zero"),
    (f"{BATCH} --price h200=1e999", 2, "above zero"),
    (f"{BATCH} --price =1", 2, "h200=2.5"),
    (f"{BATCH} --price foo=1", 2, "unknown chip 'foo'"),
    (f"{BATCH} --region XX", 2, "XX", "US"),
    (f"{BATCH} --calibration foo", 2, "foo", "general"),
    (f"{BATCH} --calibration folder", 2, "folder"),
    (f"{BATCH} --calibration bin.json", 2, "bin.json"),
    (f"{BATCH} --calibration odd.json", 2, "odd.json", "missing"),
    (f"{BATCH} --isl 0", 2, "--isl", "10,000,000"),
    (f"{BATCH} --isl -5", 2, "--isl"),
    (f"{BATCH} --isl inf", 2, "--isl"),
    (f"{BATCH} --isl 20000000", 2, "--isl"),
    (f"{BATCH} --isl 10000000", 1, "does not fit", "GB missing"),
    (f"{BATCH} --batchs 8", 2, "--batchs", "--batch"),
    (f"{BATCH} --format xml", 2, "json"),
    (f"{BATCH} --lang de", 2, "zh"),
    ("estimate llama-2-70b --chip h200 --batch 8", 2, "isl and osl are missing", "chat"),
    ("estimate llama-2-70b --chip h200 --batch 8 --load chats", 2, "chats", "chat, code"),
    ("estimate llama-2-70b --batch 8", 2, "--chip"),
    ("estimate --chip h200", 2, "MODEL"),
    ("estimate llama-2-70b --chip mi308x --batch 1 --isl 1 --osl 1", 1, "not published"),
    ("estimate deepseek-r1 --chip h200 --batch 1 --isl 1 --osl 1", 1, "GB missing", "8 would"),
    ("plan llama-2-70b --isl 1 --osl 1", 2, "--chips"),
    (f"{PLAN} --chips ,", 2, "empty name"),
    (f"{PLAN} --chips h100,,h200", 2, "empty name"),
    (f"{PLAN} --chips h1", 2, "unknown chip 'h1'", "h100"),
    (f"{PLAN} --ttft 0", 2, "--ttft", "above 0"),
    (f"{PLAN} --ttft nan", 2, "--ttft"),
    (f"{PLAN} --tpot -1", 2, "--tpot"),
    (f"{PLAN} --percentile 100", 2, "--percentile", "below 100"),
    (f"{PLAN} --rate 0", 2, "--rate"),
    (f"{PLAN} --rate 1e300", 2, "--rate"),
    (f"{PLAN} --gpus 0", 2, "--gpus"),
    (f"{PLAN} --mode apart", 2, "disagg"),
    (f"{PLAN} --tp a", 2, "--tp", "whole"),
    (f"{PLAN} --weights fp8,fp7", 2, "fp7"),
    (f"{PLAN} --link 50", 2, "400Gbit/s"),
    (f"{PLAN} --link 50W", 2, "400Gbit/s"),
    (f"{PLAN} --link nanGB/s", 2, "400Gbit/s"),
    (f"{PLAN} --seed -1", 2, "--seed"),
    (f"{PLAN} --config none.toml", 2, "none.toml", "no such file"),
    (f"{PLAN} --config folder", 2, "folder", "directory"),
    (f"{PLAN} --config bin.toml", 2, "bin.toml"),
    (f"{PLAN} --config broken.toml", 2, "line 2"),
    (f"{PLAN} --config key.toml", 2, "key.toml", "isle", "isl"),
    (f"{PLAN} --config text.toml", 2, "text.toml", "line 2", "abc"),
    (f"{PLAN} --config number.toml", 2, "number.toml", "list of names"),
    (f"{PLAN} --config flag.toml", 2, "flag.toml", "true or false"),
    (f"{PLAN} --config choice.toml", 2, "choice.toml", "disagg"),
    (f"{PLAN} --config nested.toml", 2, "nested.toml", "text in quotes"),
    (f"{PLAN} --config deep.toml", 2, "deep.toml", "nested too deep"),
    (f"{PLAN} --config long.toml", 2, "long.toml", "digits"),
    (f"{PLAN} --config moment.toml", 2, "moment.toml", "line 1", "2026-11-23"),
    (f"{PLAN} --config link.toml", 2, "link.toml", "line 1", "400Gbit/s"),
    (f"{PLAN[: PLAN.index(' --chips')]} --isl 1 --osl 1 --config nul.toml", 2, "a\\x00.toml"),
    ("models deep.json", 2, "deep.json", "nested too deep"),
    ("models long.json", 2, "long.json", "digits"),
    (f"{PLAN} --out folder", 2, "folder", "name a file"),
    (f"{PLAN} --out plain.txt/plan.json", 2, "cannot be written"),
    (f"{PLAN} --out \0.json", 2, "names no file", "NUL"),
    ("simulate", 2, "trace", "rate", "concurrency"),
    (f"{SIMULATE} --trace none.csv", 2, "none.csv", "no such file"),
    (f"{SIMULATE} --trace nonesuch", 2, "unknown trace", "azure2023_conv"),
    (f"{SIMULATE} --trace folder", 2, "folder", "directory"),
    (f"{SIMULATE} --trace plain.txt", 2, ".csv"),
    (f"{SIMULATE} --trace bin.csv", 2, "bin.csv", "UTF-8"),
    (f"{SIMULATE} --trace late.csv", 2, "late.csv: line 3", "arrival_s", "sort"),
    (f"{SIMULATE} --trace nan.csv", 2, "nan.csv: line 2", "finite"),
    (f"{SIMULATE} --trace half.csv", 2, "half.csv: line 2", "whole number"),
    (f"{SIMULATE} --trace short.csv", 2, "short.csv: line 2"),
    (f"{SIMULATE} --trace empty.csv", 2, "empty.csv", "no request"),
    (f"{SIMULATE} --trace zero.csv", 2, "zero.csv", "arrival_s"),
    (f"{SIMULATE} --trace broken.jsonl", 2, "broken.jsonl: line 1"),
    (f"{SIMULATE} --trace long.csv", 2, "long.csv: line 2", "not valid CSV"),
    (f"{SIMULATE} --trace huge.jsonl", 2, "huge.jsonl: line 1", "input_length", "finite"),
    (f"{SIMULATE} --trace deep.jsonl", 2, "deep.jsonl: line 1", "nested too deep"),
    (f"{SIMULATE} --trace torn.csv.gz", 2, "torn.csv.gz", "whole .gz"),
    (f"{SIMULATE} --rate 1", 2, "isl and osl are missing"),
    (f"{RATE} --concurrency 2", 2, "one of"),
    (f"{RATE} --isl 100000", 2, "6251 blocks", "3000"),
    (f"{RATE} --watermark 1", 2, "--watermark"),
    (f"{RATE} --policy priority", 2, "priority"),
    (f"{RATE} --step-time 1,2", 2, "four numbers"),
    (f"{RATE} --step-time 0,0,0,0", 2, "longer than 0"),
    (f"{RATE} --step-time a,b,c,d", 2, "'a'"),
    (f"{RATE} --step-time nan,1,1,1", 2, "'nan'"),
    (f"{RATE} --step-time -1,1,1,1", 2, "'-1'"),
    (f"{RATE} --chip h100", 2, "--step-time"),
    (f"{RATE} --requests 0", 2, "--requests"),
    (f"{RATE} --low 0", 2, "--low"),
    (f"{RATE} --requests-out folder", 2, "folder"),
    ("simulate --step-time 1,0,0,0 --rate 1 --isl 10 --osl 10", 2, "--kv-blocks"),
    ("simulate llama-2-70b --rate 1 --isl 10 --osl 10", 2, "--chip"),
    ("simulate llama-2-70b --chip l4 --rate 1 --isl 10 --osl 10", 1, "does not fit", "would hold"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files to be named on a line; no line may change them."""
    made = tmp_path_factory.mktemp("messages")
    for name, content in FILES.items():
        (made / name).write_bytes(content)
    (made / "folder").mkdir()
    (made / "folder.toml").mkdir()
    return made


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("line", "code", "said"), [(c[0], c[1], c[2:]) for c in CASES])
def test_wrong_input_gets_one_clear_line(capsys, line, code, said):
    given = ["" if part == "''" else part for part in line.split()]
    before = set(Path().iterdir())
    assert main(given) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("error: ")
    for part in said:
        assert part in shown.err
    assert "Traceback" not in shown.err
    assert set(Path().iterdir()) == before


@pytest.mark.usefixtures("here")
def test_an_error_is_told_in_chinese_too(capsys):
    given = ["estimate", "deepseek-r1", "--chip", "h200", "--lang", "zh"]
    given += ["--batch", "1", "--isl", "1", "--osl", "1"]
    assert main(given) == 1
    assert "放不下" in capsys.readouterr().err


def test_a_full_disk_is_told(capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chipwise.cli.catalog.reply", full)
    assert main(["sources"]) == 2
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt, 130), (MemoryError, 1)])
def test_an_interruption_and_a_question_too_large_are_told(capsys, monkeypatch, raised, code):
    def stop(*_, **__):
        raise raised

    monkeypatch.setattr("chipwise.cli.catalog.reply", stop)
    assert main(["sources"]) == code
    assert capsys.readouterr().err.strip().count("\n") == 0
