"""``plic doctor`` ends with one line: ready, or what to do."""

import importlib.metadata
from dataclasses import replace

import pytest

from plic_lib import selftest
from plic_lib.commands import doctor
from plic_lib.commands.doctor import Finding, verdict


@pytest.fixture(params=[True, False], ids=["repository", "installed"])
def in_repository(request, monkeypatch, tmp_path):
    if not request.param:
        monkeypatch.setattr(doctor, "NOTEBOOKS", tmp_path / "not there")
    return request.param


def without(monkeypatch, missing: str) -> None:
    real = importlib.metadata.version

    def version(name):
        if name == missing:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_ready(in_repository):
    line = verdict([Finding("fine"), *doctor._packages()])
    assert line == ("Ready: make lab opens the course" if in_repository else "Ready: plic encode and plic decode work")


def test_what_works_without_is_said_and_hinders_nobody():
    assert verdict([Finding("weights of a metric are not there", good=False)]).startswith(
        "Ready: make lab opens the course; what is marked with !"
    )


def test_without_a_package_of_the_course(in_repository, monkeypatch):
    without(monkeypatch, "jupyterlab")
    findings = list(doctor._packages())
    assert [str(finding) for finding in findings if not finding.good] == ["! jupyterlab is missing"]
    assert verdict(findings).startswith("Not ready: pip install -r requirements.txt" if in_repository else "Ready")


def test_without_a_package_of_the_codec(in_repository, monkeypatch):
    without(monkeypatch, "safetensors")
    assert verdict(list(doctor._packages())) == f"Not ready: pip install {'-r requirements.txt' if in_repository else 'plic'}"


def test_several_things_to_do_are_done_one_by_one():
    findings = [Finding("a", "do this", False), Finding("b", "do this", False), Finding("c", "do that", False)]
    assert verdict(findings) == "Not ready: do this; then run plic doctor again (1 more to do)"


def test_a_machine_that_decodes_otherwise_is_not_ready(monkeypatch):
    golden = next(selftest.run())
    assert verdict(list(doctor._works())).startswith("Ready")
    monkeypatch.setattr(selftest, "run", lambda: iter([replace(golden, fault="the codec: not the latents that were recorded")]))
    assert verdict(list(doctor._works())) == "Not ready: run plic selftest, and report what it prints"
