"""No licence among the locked packages keeps 4Auth from being distributed under MIT."""

import importlib.util
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


def load_script():
    spec = importlib.util.spec_from_file_location("licences", PROJECT / "scripts" / "licences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


licences = load_script()


@pytest.mark.parametrize("expression", ["MIT", "Apache-2.0 OR BSD-3-Clause", "MPL-2.0 AND MIT", "0BSD AND Zlib"])
def test_licences_that_may_stand_beside_mit(expression):
    assert licences.is_allowed(expression)


@pytest.mark.parametrize("expression", ["GPL-3.0-only", "MIT AND AGPL-3.0", "LGPL-2.1", "nothing", "CC-BY-NC-4.0"])
def test_licences_that_nobody_has_judged_are_refused(expression):
    assert not licences.is_allowed(expression)


def test_every_locked_package_has_a_judged_licence():
    assert [row for row in licences.table() if not licences.is_allowed(row[1], row[2])] == []


def test_copyleft_is_for_programs_of_the_controller_alone():
    assert licences.is_allowed("GPL-3.0-or-later", licences.CONTROLLER_ONLY)
    assert not licences.is_allowed("GPL-3.0-or-later", "server")
    assert not licences.is_allowed("AGPL-3.0-only", licences.CONTROLLER_ONLY)


def test_the_page_lists_every_locked_package_and_who_needs_it():
    page = (PROJECT / "docs" / "licences.md").read_text()
    for name, _, users in licences.table():
        assert any(line.startswith(f"| {name} |") and line.endswith(f"| {users} |") for line in page.splitlines()), (
            f"docs/licences.md lacks {name} ({users}): run `make licences`"
        )


def test_the_page_tells_every_model_with_release_checksum_and_licence():
    page = (PROJECT / "docs" / "licences.md").read_text()
    source = licences.models.SOURCE
    assert licences.is_allowed(source.licence)
    assert f"`{source.package}`, all under its one licence, {source.licence}." in page
    for file in source.files:
        assert any(line.startswith(f"| {file.name} |") and file.sha256 in line for line in page.splitlines()), file.name
