"""monitoring/: what alerts and dashboard ask for exists, each alert is explained, and promtool takes the rules."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

import auth_server.gateway.metrics
import auth_server.metrics
from auth_contract import paths
from auth_contract.actions import Action, Reason
from auth_server.signs_of_life import STATES
from kiosk_agent.metrics import Metrics

FOLDER = Path(__file__).resolve().parent.parent / "monitoring"
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = DASHBOARD["panels"]
STATUS = FOLDER.parent / "ansible" / "roles" / "auth_server" / "tasks" / "status.yml"
OPERATIONS = (FOLDER.parent / "docs" / "operations.md").read_text()
UNPACKED = FOLDER.parent / ".cache" / "promtool" / "usr" / "bin"
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=str(UNPACKED))
_NAME = re.compile(r"\bfourauth_[a-z_]+")
_SELECTED = re.compile(r"\b(fourauth_[a-z_]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
OF_TARGETS = {"job", "instance", "site", "le"}
"""Labels that Prometheus adds, `instance` and `site` as monitoring/prometheus.yml says."""

CLOSED = {
    "action": {*Action},
    "reason": {"granted", *Reason},
    "state": {*STATES},
    "path": {*paths.SUBMISSION.values()},
}
"""What labels can be."""


def exported() -> dict[str, set[str]]:
    """The names of all samples, and each one's labels."""
    made = (*vars(auth_server.metrics).values(), *vars(auth_server.gateway.metrics).values(), *vars(Metrics()).values())
    found = {}
    for metric in (one for one in made if isinstance(one, MetricWrapperBase)):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric._type, ("",))
        found |= {metric._name + suffix: {*metric._labelnames} for suffix in suffixes}
    return found


def grouped_by(expression: str) -> set[str]:
    """The labels that a sum or a quantile keeps."""
    return {label.strip() for labels in _GROUPED.findall(expression) for label in labels.split(",")}


def check(expression: str) -> None:
    """Metrics, labels and, where these are closed, their values are such as there are."""
    theirs = set()
    for name, matchers in _SELECTED.findall(expression):
        assert name in exported()
        labels = exported()[name] | OF_TARGETS
        theirs |= labels
        for label, value in _MATCHER.findall(matchers):
            assert label in labels, f"{name} has no label {label}"
            assert label not in CLOSED or {*value.split("|")} <= CLOSED[label], f"{label} is never {value}"
    assert grouped_by(expression) <= theirs | OF_TARGETS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is_and_is_explained(rule):
    check(rule["expr"])
    assert rule["annotations"]["summary"] and rule["labels"]["severity"] in {"page", "ticket"}
    assert f"`{rule['alert']}`" in OPERATIONS


def test_a_backup_is_too_old_for_prometheus_when_it_is_for_the_playbook():
    [rule] = [rule for rule in RULES if rule["alert"] == "BackupOld"]
    looks = yaml.safe_load(STATUS.read_text())
    [age] = [look["ansible.builtin.find"]["age"] for look in looks if "ansible.builtin.find" in look]
    days = re.fullmatch(r"-(\d+)d", age)
    assert days is not None and rule["expr"].endswith(f" > {days[1]} * 86400")


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_there_is(panel):
    for target in panel["targets"]:
        check(target["expr"])
        assert {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])} <= grouped_by(target["expr"]) | {"instance"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_the_chosen_sites_alone(panel):
    for target in panel["targets"]:
        assert all('site=~"$site"' in matchers for _, matchers in _SELECTED.findall(target["expr"])), target["expr"]


def test_a_site_is_chosen_among_those_that_answer_and_all_are_at_first():
    [site] = [variable for variable in DASHBOARD["templating"]["list"] if variable["name"] == "site"]
    assert site["query"]["query"] == site["definition"] == "label_values(fourauth_ready, site)"
    assert site["multi"] and site["includeAll"] and site["current"]["value"] == ["$__all"]
    assert site["allValue"] == ".*", "a target without the label `site` is shown among all, too"


def test_every_metric_is_shown():
    asked = {name for panel in PANELS for target in panel["targets"] for name in _NAME.findall(target["expr"])}
    asked |= {name for rule in RULES for name in _NAME.findall(rule["expr"])}
    shown = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in asked}
    all_of_them = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in exported()}
    assert all_of_them - shown == set()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: scripts/apt-install.sh brings it")
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "monitoring/alerts.yml"),
        ("check", "config", "--agent", "monitoring/prometheus.yml"),
        ("test", "rules", "tests/data/alerts.yml"),
    ],
)
def test_promtool_takes_the_files_and_sees_alerts_fire_when_they_should(words: tuple[str, ...]):
    done = subprocess.run([str(PROMTOOL), *words], cwd=FOLDER.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: scripts/apt-install.sh brings it")
def test_promtool_can_read_what_the_panels_ask(tmp_path: Path):
    asked = [target["expr"].replace("$site", ".*") for panel in PANELS for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    words = [str(PROMTOOL), "check", "rules", str(tmp_path / "panels.yml")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and f"{len(asked)} rules found" in done.stdout, done.stdout + done.stderr
