"""Limits, each in a process of its own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are none on Windows")


def run(code: str) -> subprocess.CompletedProcess[str]:
    code = f"from posegram.web import limits\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_memory_above_the_limit_is_refused():
    done = run("limits.memory(1 << 30)\ntry: bytearray(2 << 30)\nexcept MemoryError: print('no')")
    assert done.stdout == "no\n"


def test_memory_below_the_limit_is_given():
    assert run("limits.memory(4 << 30)\nprint(len(bytearray(1 << 20)))").stdout == "1048576\n"


def test_a_process_ends_when_its_processor_time_is_up():
    assert run("limits.processor_time(0.1)\nwhile True: pass").returncode < 0


def test_no_file_can_be_written(tmp_path):
    path = tmp_path / "a.txt"
    run(f"limits.no_files()\nopen({str(path)!r}, 'w').write('x' * 100)")
    assert not path.exists() or path.stat().st_size == 0


def test_no_more_is_wanted_than_the_system_allows():
    code = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (5 << 30, 5 << 30))\n"
    done = run(f"{code}limits.memory(6 << 30)\nprint(resource.getrlimit(resource.RLIMIT_AS)[0])")
    assert done.stdout == f"{5 << 30}\n"
