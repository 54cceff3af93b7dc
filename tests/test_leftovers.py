"""The check that every session of these tests ends with can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

TIDY = """
import subprocess, sys, tempfile

def test_tidy():
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    with tempfile.TemporaryDirectory():
        pass
"""
ORPHAN = """
import subprocess, sys

def test_orphan():
    # Its parent ends at once, so that it is nobody's child.
    start = "import subprocess as s, sys; s.Popen([sys.executable, '-c', sys.argv[1]])"
    subprocess.run([sys.executable, "-c", start, "import time; time.sleep(100)"], check=True)
"""
CHILD = """
import subprocess, sys

def test_child():
    globals()["kept"] = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
"""
SOCKET = """
import socket

def test_socket():
    globals()["kept"] = socket.create_server(("127.0.0.1", 0))
"""
FOLDER = """
import tempfile

def test_folder():
    tempfile.mkdtemp(prefix="forgotten")
"""
FOLDER_OF_A_CHILD = """
import subprocess, sys

def test_folder_of_a_child():
    program = "import tempfile; tempfile.mkdtemp(prefix='forgotten')"
    subprocess.run([sys.executable, "-c", program], check=True)
"""


@pytest.fixture
def checked(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the same check, which does not wait for long."""
    text = CONFTEST.read_text(encoding="utf-8")
    quick = text.replace("END_DEADLINE_S = 60.0", "END_DEADLINE_S = 0.1")
    assert quick != text
    pytester.makeconftest(quick)
    return pytester


def test_tidy_tests_pass(checked: pytest.Pytester) -> None:
    checked.makepyfile(TIDY)
    checked.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("page", "what"),
    [
        (ORPHAN, "process * time.sleep(100)*"),
        (CHILD, "process * time.sleep(100)*"),
        (SOCKET, "socket *127.0.0.1*LISTEN*"),
        (FOLDER, "file *forgotten*"),
        (FOLDER_OF_A_CHILD, "file *forgotten*"),
    ],
    ids=["orphan", "child", "socket", "folder", "folder of a child"],
)
def test_what_is_left_fails_the_session(checked: pytest.Pytester, page: str, what: str) -> None:
    checked.makepyfile(page)
    result = checked.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"*tests left behind: {what}"])
