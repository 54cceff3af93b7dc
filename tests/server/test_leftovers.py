from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lightllm_evals.server.leftovers import remove_leftovers, service_name
from lightllm_evals.server.ports import pick_ports


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    folders = (tmp_path / "ipc", tmp_path / "shm")
    for folder in folders:
        folder.mkdir()
    return folders


def write_log(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "log"
    line = f"INFO 11-23 16:22:47 [api_start.py:79] zmq mode head: ipc:///tmp/_{name}_\n"
    path.write_text(f"WARNING first\n{line}", encoding="utf-8")
    return path


def remove(log: Path, nccl_port: int | None, folders: tuple[Path, Path]) -> set[str]:
    ipc, shm = folders
    removed = remove_leftovers(log, nccl_port, ipc_dir=ipc, shared_memory_dir=shm)
    assert not any(path.exists() for path in removed)
    return {path.name for path in removed}


def test_files_of_our_nccl_port_go_and_others_stay(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    (port,) = pick_ports(1)
    ipc, shm = folders
    ours = [ipc / f"_{port}_0_127.0.0.1:7", shm / f"{port}_0_req_shm_total"]
    theirs = [
        ipc / f"_{port}_1_x",
        shm / f"{port}_01_x",
        shm / f"9{port}_0_x",
        ipc / f"{port}_0_x",
    ]
    for path in [*ours, *theirs]:
        path.touch()
    assert remove(write_log(tmp_path, f"{port}_0"), port, folders) == {p.name for p in ours}
    assert all(path.exists() for path in theirs)


def test_nothing_goes_while_another_server_holds_the_port(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    with socket.socket() as theirs:
        theirs.bind(("127.0.0.1", 0))
        theirs.listen()
        port = theirs.getsockname()[1]
        (folders[1] / f"{port}_0_lock").touch()
        assert remove(write_log(tmp_path, f"{port}_0"), port, folders) == set()


def test_name_that_is_not_our_port_is_left_alone(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    first, second = pick_ports(2)
    (folders[1] / f"{first}_0_lock").touch()
    assert remove(write_log(tmp_path, f"{first}_0"), second, folders) == set()


def test_random_name_of_2026_is_ours_by_itself(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (folders[1] / "1183227264984cd0_0_shm_port_args").touch()
    log = write_log(tmp_path, "1183227264984cd0_0")
    assert remove(log, None, folders) == {"1183227264984cd0_0_shm_port_args"}


def test_folders_and_links_are_not_touched(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (port,) = pick_ports(1)
    (folders[1] / f"{port}_0_dir").mkdir()
    (folders[1] / f"{port}_0_link").symlink_to(tmp_path)
    assert remove(write_log(tmp_path, f"{port}_0"), port, folders) == set()


def test_log_without_a_name_removes_nothing(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (tmp_path / "log").write_text("nothing\n", encoding="utf-8")
    assert service_name(tmp_path / "gone") is None
    assert remove(tmp_path / "log", 20002, folders) == set()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("log-a-clean-start-and-sigterm.txt", "18203_0"),
        ("log-b-start-and-stop.txt", "1183227264984cd0_0"),
    ],
)
def test_name_is_found_in_recorded_logs(pytestconfig: pytest.Config, file: str, name: str) -> None:
    folder = pytestconfig.rootpath.parent / "shared" / "lightllm-recordings"
    if not folder.is_dir():
        pytest.skip("the recordings are not beside this checkout")
    assert service_name(folder / file) == name
