# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server of the lab that cannot be started costs itself and those that need it, says why, and takes nobody else down.

The servers here are small processes of their own, started, asked for their health and stopped like those of the lab.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab import launch
from tests.lab.launch import Launch, bring_up, down, read_endpoints, up
from tests.lab.processes import ServerFailed
from tests.lab.servers import Lab, Server

pytestmark = pytest.mark.slow

SERVES = """
import json, socket
server = socket.create_server(("127.0.0.1", 0))
print("READY", json.dumps({"port": 1, "control_port": server.getsockname()[1], "ports": {"one": 1, "two": 2}}), flush=True)
while True:
    connection, _peer = server.accept()
    with connection, connection.makefile("rwb") as stream:
        while stream.readline().strip():
            pass
        stream.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
"""
BREAKS = "import sys; print('opening the disks'); sys.exit('no disk was found')"
SERVES_PLAIN_LUNS = f"import sys\nif '--data-plane' in sys.argv: sys.exit('tgtd is missing')\n{SERVES}"

ALL = ("ontap", "vcenter", "hyperv", "hyperv-cluster", "kvm")


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", program)


def refuses(reason: str) -> Callable[[], None]:
    def prepare() -> None:
        raise ServerFailed(reason)

    return prepare


class Site:
    """A lab of small servers in a directory of its own."""

    def __init__(self, directory: Path, servers: dict[str, Server]) -> None:
        self.directory, self._servers = directory, servers

    def change(self, name: str, **changes: Any) -> None:
        """Let a server be prepared or started in another way."""
        self._servers[name] = replace(self._servers[name], **changes)

    def bring_up(self, *names: str) -> Launch:
        return bring_up(names or ALL, self.directory)

    def pids(self) -> Mapping[str, int]:
        return {name: endpoint.pid for name, endpoint in read_endpoints(self.directory).items()}

    @property
    def real_luns(self) -> bool:
        """Whether the world has the addresses of this machine that real LUNs need."""
        world = json.loads((self.directory / "world.json").read_text())
        return all(portal.startswith("127.") for svm in world["array"]["svms"] for portal in svm["portals"])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    def real_luns(lab: Lab) -> list[str]:
        return ["--data-plane", "tgt"] if lab.real_luns else []

    serves = Server("any", "user", python(SERVES), needs=("ontap",))
    servers = {
        "ontap": replace(
            serves, command=python(SERVES_PLAIN_LUNS.replace("sys.exit('tgtd is missing')", "pass")), needs=(), options=real_luns
        ),
        "vcenter": serves,
        "hyperv": replace(serves, machine="one"),
        "hyperv-cluster": Server("any", "user", needs=("hyperv",), machine="two", shares="hyperv"),
        "kvm": replace(serves, real_luns=True),
    }
    monkeypatch.setattr(launch, "SERVERS", servers)
    try:
        yield Site(tmp_path, servers)
    finally:
        down(tmp_path)


def test_where_nothing_fails_everything_runs(site: Site) -> None:
    outcome = site.bring_up()
    assert (set(outcome.running), outcome.failed) == (set(ALL), {})
    assert all(endpoint.healthy() for endpoint in outcome.running.values())
    assert site.real_luns


def test_a_server_that_cannot_be_prepared_costs_itself_alone(site: Site) -> None:
    site.change("vcenter", prepare=refuses("Go is missing: install it"))
    outcome = site.bring_up()
    assert outcome.failed == {"vcenter": "Go is missing: install it"}
    assert set(outcome.running) == set(ALL) - {"vcenter"}


def test_a_server_that_ends_costs_itself_alone_and_its_last_words_are_the_reason(site: Site) -> None:
    site.change("vcenter", command=python(BREAKS))
    outcome = site.bring_up()
    reason, *end_of_log = outcome.failed["vcenter"].splitlines()
    assert reason == f"it ended with 1: no disk was found (see {site.directory / 'vcenter.log'})"
    assert end_of_log == ["opening the disks", "no disk was found"]
    assert (set(outcome.running), set(outcome.failed)) == (set(ALL) - {"vcenter"}, {"vcenter"})


def test_a_server_that_ends_without_a_word_says_so(site: Site) -> None:
    site.change("vcenter", command=python("pass"))
    assert "it ended with 0: it said nothing" in site.bring_up().failed["vcenter"]


def test_a_server_that_stays_silent_is_stopped(site: Site) -> None:
    site.change("vcenter", command=python("import signal; signal.pause()"), ready_seconds=0.1)
    outcome = site.bring_up("vcenter")
    assert outcome.failed["vcenter"].startswith("it did not become ready in 0.1 s")
    assert set(site.pids()) == {"ontap"}


def test_a_program_that_is_not_there_is_a_reason_too(site: Site) -> None:
    site.change("vcenter", command=("/nowhere/vcenter",))
    assert site.bring_up().failed == {"vcenter": "/nowhere/vcenter could not be run: No such file or directory"}


def test_what_needs_a_server_that_failed_says_which(site: Site) -> None:
    site.change("hyperv", command=python(BREAKS))
    outcome = site.bring_up()
    assert outcome.failed["hyperv-cluster"] == "it needs hyperv, which was not started"
    assert set(outcome.running) == {"ontap", "vcenter", "kvm"}


def test_what_needs_a_server_that_could_not_be_prepared_says_which(site: Site) -> None:
    site.change("hyperv", prepare=refuses("a package is missing"))
    outcome = site.bring_up()
    assert outcome.failed == {"hyperv": "a package is missing", "hyperv-cluster": "it needs hyperv, which was not started"}


def test_without_the_array_nothing_runs(site: Site) -> None:
    site.change("ontap", command=python(BREAKS))
    outcome = site.bring_up()
    assert (set(outcome.running), set(outcome.failed)) == (set(), set(ALL))
    assert outcome.failed["ontap"].startswith("it ended with 1: no disk was found")
    assert outcome.failed["vcenter"] == "it needs ontap, which was not started"
    assert site.pids() == {}


def test_real_luns_are_not_asked_of_the_array_for_a_server_that_cannot_be_prepared(site: Site) -> None:
    site.change("ontap", command=python(SERVES_PLAIN_LUNS))
    site.change("kvm", prepare=refuses("only root makes namespaces"))
    outcome = site.bring_up()
    assert outcome.failed == {"kvm": "only root makes namespaces"}
    assert not site.real_luns


def test_an_array_that_cannot_offer_real_luns_is_started_without_and_costs_those_that_need_them(site: Site) -> None:
    site.change("ontap", command=python(SERVES_PLAIN_LUNS))
    outcome = site.bring_up()
    assert outcome.failed["kvm"].startswith(
        "it needs LUNs that are SCSI disks, with which ontap was not started: it ended with 1: tgtd is missing"
    )
    assert (set(outcome.running), set(outcome.failed)) == (set(ALL) - {"kvm"}, {"kvm"})
    assert not site.real_luns


def test_what_runs_is_kept_and_not_prepared_again(site: Site) -> None:
    before = site.bring_up().running
    site.change("kvm", prepare=refuses("this must not be asked"))
    outcome = site.bring_up()
    assert (outcome.running, outcome.failed) == (before, {})


def test_what_failed_is_started_when_it_can_be_and_the_others_are_kept(site: Site) -> None:
    site.change("vcenter", command=python(BREAKS))
    before = site.bring_up("vcenter", "hyperv").running
    site.change("vcenter", command=python(SERVES))
    outcome = site.bring_up("vcenter", "hyperv")
    assert outcome.failed == {}
    assert {name: outcome.running[name] for name in before} == before
    assert outcome.running["vcenter"].healthy()


def test_what_died_and_cannot_be_prepared_again_is_forgotten_with_its_dependents(site: Site) -> None:
    before = site.bring_up().running
    before["hyperv"].process.stop()
    site.change("hyperv", prepare=refuses("a package is missing"))
    outcome = site.bring_up()
    assert set(outcome.failed) == {"hyperv", "hyperv-cluster"}
    assert set(site.pids()) == {"ontap", "vcenter", "kvm"}


def test_a_test_wants_all_of_its_servers_and_gets_every_reason(site: Site) -> None:
    site.change("vcenter", prepare=refuses("Go is missing"))
    site.change("hyperv", command=python(BREAKS))
    with pytest.raises(ServerFailed, match=r"(?s)vcenter: Go is missing\nhyperv: it ended with 1.*hyperv-cluster: it needs hyperv"):
        up(ALL, site.directory)


@pytest.fixture
def command(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The launcher as it is called from a shell: how it ended, and what it printed."""

    def call(*arguments: str, ci: bool = False) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["launch", *arguments, "--dir", str(site.directory)])
        monkeypatch.setattr(launch, "MUST_RUN", ci)
        try:
            launch.main()
            status: int | str | None = 0
        except SystemExit as ended:
            status = ended.code
        return int(status or 0), *capsys.readouterr()

    return call


def test_a_part_is_good_enough_and_tells_one_line_each(site: Site, command: Callable[..., tuple[int, str, str]]) -> None:
    site.change("hyperv", command=python(BREAKS))
    status, _output, errors = command("up", *ALL, "--keep-going")
    assert status == 0
    assert errors.splitlines() == [
        f"hyperv is left out: it ended with 1: no disk was found (see {site.directory / 'hyperv.log'})",
        "hyperv-cluster is left out: it needs hyperv, which was not started",
    ]


def test_a_part_is_not_good_enough_in_continuous_integration(site: Site, command: Callable[..., tuple[int, str, str]]) -> None:
    site.change("vcenter", command=python(BREAKS))
    assert command("up", *ALL, "--keep-going", ci=True)[0] == 1


def test_whoever_does_not_ask_for_a_part_wants_all_of_it_and_gets_the_logs(
    site: Site, command: Callable[..., tuple[int, str, str]]
) -> None:
    site.change("vcenter", command=python(BREAKS))
    status, _output, errors = command("up", *ALL)
    assert status == 1
    assert "opening the disks" in errors.splitlines()


def test_all_of_it_is_a_success_in_continuous_integration_too(command: Callable[..., tuple[int, str, str]]) -> None:
    assert command("up", *ALL, "--keep-going", ci=True)[::2] == (0, "")


def test_only_what_runs_is_named(site: Site, command: Callable[..., tuple[int, str, str]]) -> None:
    site.bring_up("vcenter", "kvm").running["kvm"].process.stop()
    assert command("running") == (0, "ontap\nvcenter\n", "")
