from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from lightllm_evals.errors import ConfigError
from lightllm_evals.records import Completion, Request, SamplingParams
from lightllm_evals.results import CaseResult, CaseVerdict, PlannedCase, decode_result
from lightllm_evals.runs.directory import RunDirectory, default_run_directory


def result(text: str = "42") -> CaseResult:
    request = Request(id="t.py::t[a]", params=SamplingParams(max_new_tokens=1), prompt="6 * 7 =")
    case = PlannedCase(
        nodeid="t.py::t[a]",
        benchmark="toy",
        variant="default",
        metric="pass@1",
        sample="a",
        repeat=0,
        group="",
        num_samples_total=1,
        request=request,
    )
    completion = Completion(
        text=text, finish_reason="stop", prompt_tokens=3, output_tokens=1, latency_s=0.1
    )
    return CaseResult(case=case, verdict=CaseVerdict(outcome="passed"), completion=completion)


def lines(directory: RunDirectory) -> list[dict[str, object]]:
    raw = (directory.path / "results.jsonl").read_bytes()
    return [json.loads(line) for line in raw.splitlines()]


def test_a_result_is_on_disk_at_once_and_can_be_read_back(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "deep" / "run")
    directory.begin({"kind": "connected"})
    directory.append(result())
    (line,) = lines(directory)
    assert decode_result(line) == result()
    directory.close()
    directory.close()


def test_text_without_utf8_is_written_with_escapes(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.append(result("a\x00\ud800\u2028b"))
    (line,) = (tmp_path / "results.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert decode_result(json.loads(line)) == result("a\x00\ud800\u2028b")
    directory.close()


def test_a_new_run_in_an_old_folder_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}", encoding="utf-8")
    (tmp_path / "results.jsonl").write_text("old\n", encoding="utf-8")
    directory = RunDirectory(tmp_path)
    directory.begin({})
    assert lines(directory) == []
    assert not (tmp_path / "summary.json").exists()
    directory.close()


def test_folders_of_runs_sort_by_time_and_never_meet(tmp_path: Path) -> None:
    names = [default_run_directory(tmp_path) for _ in range(50)]
    assert len(set(names)) == 50
    assert {name.parent for name in names} == {tmp_path / ".lightllm-evals" / "runs"}
    assert names[0].name[:8] in {
        time.strftime("%Y%m%d", time.gmtime(time.time() - d)) for d in (0, 60)
    }


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=r"Cannot write results to .*--lightllm-run-dir\."
    ) as caught:
        RunDirectory(tmp_path / "file" / "run")
    assert "Free some space" not in str(caught.value)


def test_a_full_disk_is_remembered_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path)
    directory.append(result())
    write = os.write
    left = 10

    def write_until_full(file: int, data: bytes) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(file, data[:left])
        left -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_until_full)
        directory.append(result())
    directory.append(result())
    assert directory.failure == os.strerror(errno.ENOSPC)
    assert directory.num_unwritten == 2
    assert [decode_result(line) for line in lines(directory)] == [result()]
    directory.close()


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path)
    directory.write("run.json", {"version": 1})

    def fail(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        directory.write("run.json", {"version": 2})
    assert json.loads((tmp_path / "run.json").read_bytes())["version"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.jsonl", "run.json"]
    assert directory.failure is not None
    directory.close()
