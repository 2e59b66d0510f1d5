"""The rules of the source tree that no other tool checks."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("auth_contract", "auth_client", "auth_vision", "auth_server", "kiosk_agent", "provisioning")
PURE = (
    "auth_server/domain.py",
    "auth_server/policy.py",
    "auth_server/lockout.py",
    "auth_server/factors",
    "auth_vision/look.py",
    "auth_vision/quality.py",
    "auth_vision/movement.py",
    "auth_vision/geometry.py",
    "auth_vision/light.py",
    "kiosk_agent/camera/condition.py",
    "kiosk_agent/camera/tending.py",
    "kiosk_agent/session.py",
    "kiosk_agent/standing.py",
    "kiosk_agent/entering.py",
    "kiosk_agent/answering.py",
    "kiosk_agent/effects.py",
    "kiosk_agent/flows.py",
    "kiosk_agent/screen/view.py",
    "kiosk_agent/screen/words.py",
    "kiosk_agent/screen/columns.py",
    "kiosk_agent/heard.py",
    "kiosk_agent/phrases.py",
    "kiosk_agent/speech/prompt.py",
)
MAX_LINES = 300


def sources(*roots: str) -> list[Path]:
    found = []
    for root in roots:
        path = PROJECT / root
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [path for path in found if "migrations" not in path.parts]


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


ALL = sources(*PACKAGES)
every_module = pytest.mark.parametrize("path", ALL, ids=name_of)


@every_module
def test_a_module_fits_on_a_few_screens(path: Path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name_of(path)} has {lines} lines: split it by what its parts are for"


def undocumented(node: ast.Module | ast.ClassDef) -> Iterator[str]:
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            is_override = any(isinstance(d, ast.Name) and d.id == "override" for d in child.decorator_list)
            if not ast.get_docstring(child) and not is_override:
                yield f"{child.name} (line {child.lineno})"
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child)


@every_module
def test_every_public_name_says_what_it_is(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = list(undocumented(tree))
    if not ast.get_docstring(tree):
        missing.insert(0, "the module")
    assert not missing, f"{name_of(path)}: no docstring on {', '.join(missing)}"


CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


@pytest.mark.parametrize("path", sources(*PURE), ids=name_of)
def test_a_pure_module_is_told_the_time(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            assert (owner, node.attr) not in CLOCKS, f"{name_of(path)}:{node.lineno} reads the clock"
            assert owner != "time" or node.attr not in {"time", "monotonic", "sleep"}, f"{name_of(path)}:{node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input"}, f"{name_of(path)}:{node.lineno} does I/O"


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=name_of)
def test_no_error_is_swallowed_and_nothing_is_asserted(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            is_broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception"})
            is_empty = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
            assert not (is_broad and is_empty), f"{name_of(path)}:{node.lineno} hides every error"
        # `python -O` removes them.
        assert not isinstance(node, ast.Assert), f"{name_of(path)}:{node.lineno} asserts: raise a typed error"


OF_THE_SYSTEM = {"libcamera", "picamera2"}
"""Come with a Raspberry Pi's system and from no registry; their types are checked by stubs."""

LOOK = """
import importlib, pathlib, pkgutil, sys, threading
import urllib3  # it binds a socket of loopback, to learn whether there is IPv6
import {package}

effects = []
def watch(event, args):
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        effects.append(f"writes {{args[0]}}")
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.mkdir", "os.remove"):
        # `ctypes` and `platform` look round with tools of their own; ours are recognised by the caller.
        frame = sys._getframe(1)
        while frame and not frame.f_globals.get("__name__", "").startswith("{package}"):
            frame = frame.f_back
        if frame:
            effects.append(event)

sys.dont_write_bytecode = True
sys.addaudithook(watch)
threads = threading.active_count()
for module in pkgutil.walk_packages({package}.__path__, "{package}."):
    if not module.name.endswith(".__main__") and ".migrations" not in module.name:
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name not in {of_the_system}:
                raise
if threading.active_count() != threads:
    effects.append("starts a thread")
print("\\n".join(effects))
sys.exit(bool(effects))
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_does_nothing(package: str, tmp_path: Path):
    """No file is written, no socket opened, no process or thread started, no argument read."""
    script = LOOK.format(package=package, of_the_system=sorted(OF_THE_SYSTEM))
    looked = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::DeprecationWarning:" + package,
            "-c",
            script,
        ],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
            "PYTHONPATH": str(PROJECT),
            "ORT_DISABLE_TELEMETRY": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert list(tmp_path.iterdir()) == []


def declared(extras: set[str]) -> set[str]:
    """The distributions that the named extras ask for themselves, not what those pull in."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(line).name) for line in wanted}


EXTRAS = {
    "auth_contract": set(),
    "auth_client": {"client"},
    "auth_vision": {"kiosk"},
    "auth_server": {"client", "server"},
    "kiosk_agent": {"client", "kiosk"},
    "provisioning": {"client", "server", "provisioning"},
}


def imported(package: str) -> set[str]:
    names = set()
    for path in sources(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - set(PACKAGES)


# Brought by a declared package that publishes them as its own interface.
COMPANIONS = {"werkzeug": "flask", "urllib3": "requests", "annotated-types": "pydantic", "pydantic-core": "pydantic"}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_imports_is_declared(package: str):
    distributions = packages_distributions()
    allowed = declared(EXTRAS[package])
    for name in imported(package) - OF_THE_SYSTEM:
        owners = {canonicalize_name(owner) for owner in distributions.get(name, [name])}
        owners |= {COMPANIONS[owner] for owner in owners if owner in COMPANIONS}
        assert owners & allowed, f"{package} imports {name}, which its extras {EXTRAS[package]} do not name"


LOCKS = sorted((PROJECT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_everything_with_hashes_and_names_no_place(lock: Path):
    text = lock.read_text()
    assert "://" not in text
    entries = [e for e in text.replace("\\\n", " ").splitlines() if e and not e.lstrip().startswith("#")]
    assert entries
    for entry in entries:
        assert "==" in entry and "--hash=sha256:" in entry, f"{lock.name}: {entry[:60]}"


@pytest.mark.parametrize("extra", ["server", "kiosk", "provisioning", "dev"])
def test_a_lock_holds_what_the_project_asks_for(extra: str):
    """Whoever changes pyproject.toml without `make lock` learns it here."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lines = (PROJECT / "requirements" / f"{extra}.txt").read_text().splitlines()
    pins: dict[str, set[str]] = {}
    for line in lines:
        if "==" in line and not line.startswith((" ", "#")):
            pin = Requirement(line.rstrip(" \\"))
            pins.setdefault(canonicalize_name(pin.name), set()).add(str(pin.specifier).removeprefix("=="))
    for line in project["dependencies"] + project["optional-dependencies"][extra]:
        wanted = Requirement(line)
        if wanted.name != project["name"]:
            releases = pins.get(canonicalize_name(wanted.name), set())
            assert releases, f"requirements/{extra}.txt lacks {wanted.name}: run `make lock`"
            assert all(wanted.specifier.contains(release) for release in releases), f"{line} is not {releases}"
