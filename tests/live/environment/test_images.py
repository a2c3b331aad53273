# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The execution environments: jobs run in the container that AWX would start, and what only KVM needs is in the second image."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.lab import ARRAY, HYPERVISOR, Lab
from tests.live.modules import ROOT
from tests.live.pipeline import Controller, Job, credential

IMAGE = "localhost/crossvisor-san"
KVM_IMAGE = f"{IMAGE}-kvm"
GIVE, TAKE = "Give a VM a disk", "Take a disk from a VM"
DISK = {"vm": "app01", "svm": "svm_san", "volume": "vol_prod", "lun": "app01_data"}


@pytest.fixture
def controller(lab: Lab, tmp_path: Path) -> Controller:
    """A controller whose project holds the playbooks and nothing else, so that modules and roles are those of the image."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "playbooks", project / "playbooks")
    credentials = {
        "crossvisor.san hypervisor": credential(lab.endpoints[HYPERVISOR]),
        "crossvisor.san array": credential(lab.endpoints[ARRAY]),
    }
    return Controller(tmp_path, credentials, {}, image=IMAGE)


def changed(job: Job) -> list[str]:
    """What the recap says of each host, after a job that ended well."""
    assert job.code == 0, job.output
    return re.findall(r"changed=(\d+)", job.output)


def inside(image: str, *command: str) -> str:
    """What a command prints in a container of the image."""
    run = ["podman", "run", "--rm", "--pull", "never", "--network", "none", image, *command]
    return subprocess.run(run, check=True, timeout=60, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


def test_a_job_in_the_image_gives_a_disk_twice_and_takes_it_back(lab: Lab, controller: Controller) -> None:
    before = lab.state()
    gave = controller.launch(GIVE, {**DISK, "size": "1GiB"})
    assert changed(gave) != ["0"]
    assert gave.artifacts["crossvisor_disks"]["localhost"]["lun"]["path"] == "/vol/vol_prod/app01_data"
    assert changed(controller.launch(GIVE, {**DISK, "size": "1GiB"})) == ["0"]
    assert changed(controller.launch(TAKE, {**DISK, "delete": "true"})) != ["0"]
    assert lab.state() == before


@pytest.mark.parametrize("image", [IMAGE, KVM_IMAGE])
def test_an_image_holds_the_collection_with_what_it_depends_on(image: str) -> None:
    listed = inside(image, "ansible-galaxy", "collection", "list")
    assert {"crossvisor.san", "community.general", "ansible.posix"} <= set(listed.split())


def test_the_first_image_knows_no_libvirt() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        inside(IMAGE, "python3", "-c", "import libvirt")
    assert "No module named 'libvirt'" in failed.value.stderr


def test_the_image_for_kvm_opens_a_libvirt_and_has_the_ssh_of_its_uris() -> None:
    assert inside(KVM_IMAGE, "python3", "-c", "import libvirt; print(libvirt.open('test:///default').getType())") == "TEST\n"
    assert inside(KVM_IMAGE, "sh", "-c", "command -v ssh") == "/usr/bin/ssh\n"
