# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data for AWX fits AWX, its collection's modules, and the playbooks that it starts."""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from jinja2 import Environment, StrictUndefined
from jinja2.meta import find_undeclared_variables

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import ARRAY, GUEST, HYPERVISOR, connection, connection_option
from tests.lab import awx

ROOT = Path(__file__).resolve().parents[3]
MODULES = {
    "credential_types": "credential_type",
    "execution_environments": "execution_environment",
    "projects": "project",
    "templates": "job_template",
    "workflows": "workflow_job_template",
}
HANDED_ON: Mapping[str, str] = {
    "credential_types": "name new_name description injectors inputs kind state",
    "execution_environments": "name new_name description image organization credential pull state",
    "projects": (
        "name new_name copy_from description scm_type scm_url default_environment local_path scm_branch scm_refspec credential"
        " scm_clean scm_delete_on_update scm_track_submodules scm_update_on_launch scm_update_cache_timeout organization state"
    ),
    "templates": (
        "name new_name copy_from description execution_environment job_type inventory organization project playbook credentials forks"
        " limit verbosity extra_vars job_tags skip_tags diff_mode use_fact_cache ask_diff_mode_on_launch ask_variables_on_launch"
        " ask_limit_on_launch ask_job_type_on_launch ask_verbosity_on_launch ask_inventory_on_launch ask_credential_on_launch"
        " ask_execution_environment_on_launch survey_enabled survey_spec become_enabled allow_simultaneous timeout labels state"
    ),
    "workflows": (
        "name new_name copy_from description extra_vars allow_simultaneous organization ask_variables_on_launch inventory limit labels"
        " ask_inventory_on_launch ask_limit_on_launch survey_enabled survey_spec workflow_nodes destroy_current_nodes state"
    ),
}
"""What infra.aap_configuration takes of an item of `controller_<kind>`, of what this data might hold; whatever else an item has, it ignores
in silence. It checks no item by an argument spec. From the tasks of its roles controller_credential_types,
controller_execution_environments, controller_projects, controller_job_templates and controller_workflow_job_templates in
github.com/redhat-cop/infra.aap_configuration, which loop over the variables of these names."""
ITEMS = [(kind, item) for kind in MODULES for item in awx.objects(kind)]
TYPES = awx.objects("credential_types")
TEMPLATES = awx.objects("templates")
SURVEYED = [*TEMPLATES, *awx.objects("workflows")]
ROLES = {f"crossvisor.san {role}": role for role in (HYPERVISOR, ARRAY, GUEST)}
ANSIBLE_S_OWN = {"ansible_check_mode", "ansible_playbook_python", "inventory_hostname"}


def name_of(item: Any) -> str:
    return str(item["name"]) if isinstance(item, dict) else str(item)


def documented_options(module: str) -> dict[str, Any]:
    """The options of a module of awx.awx, as an argument spec; its own leaves the nodes of a workflow unchecked."""
    file = Path(sysconfig.get_path("purelib")) / "ansible_collections/awx/awx/plugins/modules" / f"{module}.py"
    values = {
        target.id: ast.literal_eval(statement.value)
        for statement in ast.parse(file.read_text()).body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return argument_spec(yaml.safe_load(values["DOCUMENTATION"])["options"])


def argument_spec(options: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("type", "elements", "choices", "required", "aliases")
    return {name: {**{key: option[key] for key in kept if key in option}, **suboptions(option)} for name, option in options.items()}


def suboptions(option: Mapping[str, Any]) -> dict[str, Any]:
    return {"options": argument_spec(option["suboptions"])} if "suboptions" in option else {}


@pytest.mark.parametrize(("kind", "item"), ITEMS, ids=name_of)
def test_each_object_is_what_the_module_of_awx_awx_takes(kind: str, item: dict[str, Any]) -> None:
    assert ArgumentSpecValidator(documented_options(MODULES[kind])).validate(item).error_messages == []


@pytest.mark.parametrize(("kind", "item"), ITEMS, ids=name_of)
def test_infra_aap_configuration_takes_all_of_each_object(kind: str, item: dict[str, Any]) -> None:
    assert set(item) - set(HANDED_ON[kind].split()) == set()


def test_every_variable_is_one_that_infra_aap_configuration_reads() -> None:
    contents = [awx.content(file) for file in sorted(awx.DATA.glob("*.yml"))]
    assert {variable for content in contents for variable in content} == {f"controller_{kind}" for kind in HANDED_ON}


def test_a_word_that_the_module_does_not_know_would_be_seen() -> None:
    validator = ArgumentSpecValidator(documented_options("workflow_job_template"))
    nodes = [{"identifier": "map", "related": {"succes_nodes": []}}]
    (message,) = validator.validate({"name": "a workflow", "workflow_nodes": nodes}).error_messages
    assert "succes_nodes" in message


@pytest.mark.parametrize("definition", TYPES, ids=name_of)
class TestCredentialTypes:
    def test_the_fields_are_what_awx_accepts(self, definition: dict[str, Any]) -> None:
        words = {"id", "label", "type", "format", "choices", "default", "help_text", "multiline", "secret", "ask_at_runtime"}
        for field in definition["inputs"]["fields"]:
            assert set(field) <= words
            assert {"string": str, "boolean": bool}[field["type"]] is type(
                field.get("default", {"string": "", "boolean": False}[field["type"]])
            )
            assert field["type"] == "string" or not {"choices", "multiline", "format", "secret"} & set(field)
            assert field.get("format", "url") in ("url", "ssh_private_key")

    def test_the_injectors_use_what_there_is(self, definition: dict[str, Any]) -> None:
        ids = [field["id"] for field in definition["inputs"]["fields"]]
        files = {label.partition(".")[2]: "FILE" for label in definition["injectors"]["file"]}
        known = {**dict.fromkeys(ids, "EXAMPLE"), "tower": {"filename": files}}
        assert len(set(ids)) == len(ids)
        for templates in definition["injectors"].values():
            for template in templates.values():
                assert template.isascii()
                awx.rendered(template, known, undefined=StrictUndefined)

    def test_every_secret_is_kept_secret(self, definition: dict[str, Any]) -> None:
        secrets = {field["id"] for field in definition["inputs"]["fields"] if field.get("secret")}
        assert secrets == {"password", "client_key", "ssh_key"} & {field["id"] for field in definition["inputs"]["fields"]}

    def test_every_option_of_the_connection_can_be_given(self, definition: dict[str, Any]) -> None:
        role = ROLES[definition["name"]]
        options = connection_option(role, ["any"])["options"]
        assert set(definition["injectors"]["env"]) == {f"CROSSVISOR_{role}_{option}".upper() for option in options}

    def test_choices_are_those_of_the_modules(self, definition: dict[str, Any]) -> None:
        fragment = (ROOT / "plugins/doc_fragments" / f"{ROLES[definition['name']]}.py").read_text()
        offered = [field["choices"] for field in definition["inputs"]["fields"] if "choices" in field]
        words = [", ".join(f"V({choice})" for choice in choices[:-1]) + f" or V({choices[-1]})" for choices in offered]
        assert all(f"choices: [{', '.join(choices)}]" in fragment or text in fragment for choices, text in zip(offered, words, strict=True))

    def test_a_credential_without_anything_names_nothing(self, definition: dict[str, Any], tmp_path: Path) -> None:
        role = ROLES[definition["name"]]
        assert connection(role, None, awx.environment(definition["name"], {}, tmp_path)) == connection(role, None, {})


def test_a_credential_for_a_hypervisor_becomes_the_connection(tmp_path: Path) -> None:
    given = {
        "type": "hyperv",
        "hostname": "hvc1n1",
        "port": "5986",
        "username": r"LAB\svc",
        "password": "secret",
        "ca_certificates": "a certificate",
        "timeout": "30",
        "transport": "kerberos",
        "scheme": "https",
        "nodes": "hvc1n2=192.0.2.7",
        "client_certificate": "mine",
        "client_key": "my key",
    }
    found = connection(HYPERVISOR, None, awx.environment("crossvisor.san hypervisor", given, tmp_path))
    assert (found.type, str(found), found.username, found.password) == ("hyperv", "hvc1n1:5986", r"LAB\svc", "secret")
    assert (found.timeout, found.transport, found.scheme, found.nodes) == (30.0, "kerberos", "https", {"hvc1n2": "192.0.2.7"})
    files = [Path(str(path)).read_text() for path in (found.ca_path, found.client_cert, found.client_key)]
    assert files == ["a certificate", "mine", "my key"]


@pytest.mark.parametrize(("unverified", "verify"), [(None, True), (False, True), (True, False)])
def test_certificates_are_verified_unless_somebody_said_no(tmp_path: Path, unverified: bool | None, verify: bool) -> None:
    given = {} if unverified is None else {"unverified": unverified}
    for name, role in ROLES.items():
        assert connection(role, None, awx.environment(name, given, tmp_path)).verify is verify


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("qemu+ssh://root@kvm01/system", "qemu+ssh://root@kvm01/system?keyfile=KEY"),
        ("qemu+ssh://root@kvm01/system?no_verify=1", "qemu+ssh://root@kvm01/system?no_verify=1&keyfile=KEY"),
        ("", None),
    ],
)
def test_the_key_of_a_kvm_host_is_part_of_its_uri(tmp_path: Path, uri: str, expected: str | None) -> None:
    found = connection(HYPERVISOR, None, awx.environment("crossvisor.san hypervisor", {"uri": uri, "ssh_key": "key"}, tmp_path))
    key = tmp_path / "crossvisor.san hypervisor-template.ssh_key"
    assert found.uri == (expected.replace("KEY", str(key)) if expected else None)
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("key", 0o600)


@pytest.mark.parametrize("template", SURVEYED, ids=name_of)
class TestSurveys:
    def test_the_questions_are_what_awx_accepts(self, template: dict[str, Any]) -> None:
        asked = [question["variable"] for question in awx.questions(template)]
        assert len(set(asked)) == len(asked)
        assert template["survey_enabled"]
        assert {"name", "description", "spec"} == set(template["survey_spec"])
        for question in awx.questions(template):
            assert {"variable", "question_name", "type", "required"} <= set(question)
            assert question["type"] in ("text", "multiplechoice")
            assert ("choices" in question) == (question["type"] == "multiplechoice")
            assert isinstance(question.get("default", ""), str)
            assert question.get("default", "") in question.get("choices", [question.get("default", "")])


def undeclared(text: Any) -> set[str]:
    """The variables that the templates in a playbook or task ask for."""
    if isinstance(text, dict):
        return {name for value in text.values() for name in undeclared(value)}
    if isinstance(text, list):
        return {name for value in text for name in undeclared(value)}
    if isinstance(text, str):
        return set(find_undeclared_variables(Environment(autoescape=True).parse(_without_filters(text))))
    return set()


def _without_filters(text: str) -> str:
    """A template whose filters Jinja itself need not know."""
    return re.sub(r"\|\s*[a-z0-9_.]+", "| default", text)


@pytest.mark.parametrize("template", TEMPLATES, ids=name_of)
class TestJobTemplates:
    def test_the_playbook_is_there(self, template: dict[str, Any]) -> None:
        assert (ROOT / template["playbook"]).is_file()

    def test_each_question_is_a_variable_of_the_playbook_or_an_option_of_its_role(self, template: dict[str, Any]) -> None:
        asked = {question["variable"] for question in awx.questions(template)}
        assert asked <= self.variables(template) | set(self.options(template))

    def test_what_the_playbook_cannot_do_without_is_required(self, template: dict[str, Any]) -> None:
        required = {question["variable"] for question in awx.questions(template) if question["required"]}
        assert self.needed(template) <= required

    def test_choices_are_those_of_the_role(self, template: dict[str, Any]) -> None:
        for question in awx.questions(template):
            option = self.options(template).get(question["variable"], {})
            assert set(question.get("choices", [])) <= set(option.get("choices", question.get("choices", [])))

    def play(self, template: dict[str, Any]) -> dict[str, Any]:
        (play,) = yaml.safe_load((ROOT / template["playbook"]).read_text())
        return dict(play)

    def variables(self, template: dict[str, Any]) -> set[str]:
        play = self.play(template)
        return undeclared(play) - ANSIBLE_S_OWN - set(play["vars"])

    def needed(self, template: dict[str, Any]) -> set[str]:
        """What the playbook hands to its role without a default."""
        (handed,) = (task["vars"] for task in self.play(template)["tasks"] if "ansible.builtin.import_role" in task)
        return {name for text in handed.values() if "default(" not in text for name in undeclared(text)}

    def options(self, template: dict[str, Any]) -> dict[str, Any]:
        (role,) = (
            task["ansible.builtin.import_role"]["name"] for task in self.play(template)["tasks"] if "ansible.builtin.import_role" in task
        )
        specs = yaml.safe_load((ROOT / "roles" / role.rpartition(".")[2] / "meta/argument_specs.yml").read_text())
        return dict(specs["argument_specs"]["main"]["options"])


def nodes(workflow: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (awx.named("templates", name) for name in awx.in_order(workflow))


@pytest.mark.parametrize("workflow", awx.objects("workflows"), ids=name_of)
class TestWorkflows:
    def test_every_node_is_reached(self, workflow: dict[str, Any]) -> None:
        assert len(list(nodes(workflow))) == len(workflow["workflow_nodes"])

    def test_each_answer_is_for_a_node(self, workflow: dict[str, Any]) -> None:
        asked = {question["variable"] for question in awx.questions(workflow)}
        assert asked <= {question["variable"] for node in nodes(workflow) for question in awx.questions(node)}

    def test_what_a_node_cannot_do_without_is_asked(self, workflow: dict[str, Any]) -> None:
        asked = {question["variable"] for question in awx.questions(workflow) if question["required"]}
        assert {question["variable"] for node in nodes(workflow) for question in awx.questions(node) if question["required"]} <= asked


def test_the_templates_use_the_project_and_the_environment_that_are_made() -> None:
    assert {template["project"] for template in TEMPLATES} == {project["name"] for project in awx.objects("projects")}
    assert {template["execution_environment"] for template in TEMPLATES} == {made["name"] for made in awx.objects("execution_environments")}


def test_project_and_environment_are_of_this_version() -> None:
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert [project["scm_branch"] for project in awx.objects("projects")] == [version]
    assert [made["image"].rpartition(":")[2] for made in awx.objects("execution_environments")] == [version]
