# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Derive the table of shapes from a checkout of xapi-project/xen-api: ``python -m tests.lab.xen.derive CHECKOUT > …/shapes.json``.

The table holds names and types only: of each class its fields (type, qualifier, whether a constructor may leave it out), its messages
(result, types and names of parameters, how many of them may be left out, state) and the values of its enumerations.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CLASSES = (
    "session", "task", "event", "pool", "VM", "VM_metrics", "VM_guest_metrics", "host", "host_metrics", "network", "VIF", "PIF",
    "SM", "SR", "VDI", "VBD", "VBD_metrics", "PBD", "console", "message",
)  # fmt: skip
SHAPES = "doc/data/xenapi.json"
DATAMODEL = "ocaml/idl"
IN_FILES_OF_THEIR_OWN = ("VM", "host", "pool")
DECLARED_FOR_ALL = ("name_label", "name_description", "currently_attached")
"""Fields whose default the data model declares once, for every class that has them."""


def main() -> None:
    """Print the table."""
    checkout = Path(sys.argv[1])
    classes = {row["name"]: row for row in json.loads(_read(checkout, SHAPES))}
    datamodel = _read(checkout, f"{DATAMODEL}/datamodel.ml")
    own_files = {name: _read(checkout, f"{DATAMODEL}/datamodel_{name.lower()}.ml") for name in IN_FILES_OF_THEIR_OWN}
    commit = _git(checkout, "rev-parse", "HEAD").strip()
    table = {
        "source": f"github.com/xapi-project/xen-api, {SHAPES} and {DATAMODEL}/datamodel.ml",
        "commit": commit,
        "classes": {name: _class(classes[name], own_files.get(name) or _module(datamodel, name)) for name in CLASSES},
        "enums": _enums(classes.values()),
    }
    print(_compact(table))


def _read(checkout: Path, path: str) -> str:
    return _git(checkout, "show", f"HEAD:{path}")


def _git(checkout: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(checkout), *arguments], check=True, capture_output=True, text=True).stdout


def _module(datamodel: str, name: str) -> str:
    """Return the part of the data model that declares the class."""
    found = re.search(rf"^module {name[0].upper()}{name[1:]} = struct$(.*?)^end$", datamodel, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def _class(row: Mapping[str, Any], module: str) -> dict[str, Any]:
    left_out, optional = _defaults(module), _optional_parameters(module)
    fields = {field["name"]: [field["type"], field["qualifier"], *left_out.get(field["name"], [])] for field in row["fields"]}
    return {"fields": fields, "messages": {message["name"]: _message(message, optional) for message in row["messages"]}}


def _defaults(module: str) -> dict[str, list[str]]:
    """Return the fields that have a default value, and ``true`` where it is not the empty one of its type."""
    declared = {
        found[-1]: ["optional", *(["true"] if "~default_value:(Some (VBool true))" in chunk else [])]
        for chunk in re.split(r"\bfield\b", module)
        if "~default_value:(Some" in chunk and (found := re.findall(r'"(\w+)"', chunk))
    }
    return {**{name: ["optional"] for name in DECLARED_FOR_ALL}, **declared}


def _optional_parameters(module: str) -> set[tuple[str, str]]:
    """Return message and parameter of every parameter that has a default value; of one declared for several messages, the message is *."""
    shared = re.compile(r"let \w+ =\s*\{([^{}]*)\}")
    texts = [("*", text) for text in shared.findall(module)]
    texts += [
        call for text in re.split(r"\bcall\b[^;]*?~name:", shared.sub("", module)) for call in re.findall(r'^"(\w+)"(.*)', text, re.DOTALL)
    ]
    return {
        (message, parameter)
        for message, text in texts
        for parameter, declaration in re.findall(r'param_name= "(\w+)"([^{}]*)', text)
        if "param_default= Some" in declaration
    }


def _message(row: Mapping[str, Any], optional: set[tuple[str, str]]) -> list[Any]:
    """Return result, parameters as ``type name``, how many at the end may be left out, and ``removed`` where it was removed."""
    parameters = [f"{parameter['type']} {parameter['name']}" for parameter in row["params"]]
    left_out = sum(bool({(row["name"], parameter["name"]), ("*", parameter["name"])} & optional) for parameter in row["params"])
    removed = ["removed"] if row["lifecycle"]["state"] == "Removed_s" else []
    return [row["result"][0], parameters, left_out, *removed]


def _enums(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    return {enum["name"]: [value["name"] for value in enum["values"]] for row in rows if row["name"] in CLASSES for enum in row["enums"]}


def _compact(value: Any, indent: str = "") -> str:
    """Return JSON with one field, message or enumeration on a line."""
    if not isinstance(value, Mapping):
        return json.dumps(value)
    deeper = indent + " "
    return "{\n" + ",\n".join(f"{deeper}{json.dumps(key)}: {_compact(item, deeper)}" for key, item in value.items()) + f"\n{indent}}}"


if __name__ == "__main__":
    main()
