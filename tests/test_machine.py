"""Facts of the machine: there, ready for JSON, fast, and nothing personal."""

import getpass
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

from fastdigit.measure import machine as facts
from fastdigit.measure.machine import machine


def texts(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def test_facts_are_json_and_quick():
    machine()
    started = time.perf_counter()
    found = machine()
    assert time.perf_counter() - started < 0.3
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["versions"]["numpy"]
    assert found["cpu"]["cores_allowed"] >= 1
    assert found["date"].endswith("+00:00")


def test_facts_of_a_benchmark():
    found = machine()
    cpu = found["cpu"]
    assert cpu["affinity"] is None or len(cpu["affinity"]) == cpu["cores_allowed"]
    assert found["steal_since_start"] is None or 0 <= found["steal_since_start"] < 1
    assert found["blas_library"] is None or found["blas_library"]["name"]


def test_hits_of_the_cache(output_of):
    told = output_of(
        "from fastdigit.kernels import probes\n"
        "from fastdigit.measure.machine import compiled\n"
        "print(compiled())\n"
        "probes.add_integers(3, 1)\n"
        "print(sum(compiled().values()) > 0)"
    )
    assert told == ["None", "True"]


def test_nothing_personal():
    found = texts(machine())
    assert not [text for text in found if text.startswith("/") or str(Path.home()) in text]
    for secret in (platform.node(), getpass.getuser()):
        assert secret not in found


def test_missing_sources(monkeypatch):
    monkeypatch.setattr(facts, "_text", lambda path: "")
    monkeypatch.setattr(facts.shutil, "which", lambda name: None)
    found = machine()
    assert found["cpu"]["hypervisor"] is None
    assert found["cpu"]["governor"] == "unknown"
    assert found["memory"] == {"total_gb": None, "available_gb": None}
    assert found["git_revision"] is None
    assert found["steal_since_start"] is None
    assert found["cpu"]["hyperthreads"] is None


def test_numba_is_not_imported_for_its_facts():
    code = (
        "import sys; from fastdigit.measure.machine import machine; facts = machine(); "
        "assert 'numba' not in sys.modules; assert facts['threading_layer'] is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
