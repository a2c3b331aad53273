# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module's `main` shares: the one place where errors become messages, and secrets are kept out of them."""

from __future__ import annotations

import gc
import io
import itertools
import json
import re
import sys
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import ending
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, OutcomeUnknown

_BATCH = 500


def run(module: AnsibleModule, action: Callable[[], Mapping[str, Any]], large: Collection[str] = ()) -> None:
    """Do a module's work and return its result; a foreseeable failure is told in its one sentence, and so is the end by a signal.

    `large` are the results that are lists and may have a million values; these may be any iterable that can be iterated again.
    """
    try:
        with _uncollected(bool(large)):
            with ending.as_exception():
                result = dict(action())
            for warning in result.pop("warnings", ()):
                module.warn(warning)
            _exit(module, result, {name: result.pop(name) for name in large if name in result})
    except CrossvisorError as error:
        unknown = isinstance(error, OutcomeUnknown) or isinstance(error.__cause__, OutcomeUnknown)
        module.fail_json(msg=f"{str(error).rstrip('.')}.", **({"outcome_unknown": True} if unknown else {}))
    except ending.Ended as end:
        told = f"This task was ended by {end} and has logged out everywhere: run it again, which finishes what it had begun."
        module.fail_json(msg=told, outcome_unknown=True)


def kept_secret(module: AnsibleModule, complete: Connection) -> Connection:
    """The connection, whose password will be in nothing that the module says, wherever it came from."""
    if complete.password:
        module.no_log_values.add(complete.password)
    return complete


@contextmanager
def _uncollected(large: bool) -> Iterator[None]:
    """Let nobody look for garbage in a million objects, none of which is garbage before the process ends, not even then."""
    if large:
        gc.disable()
    try:
        yield
    finally:
        if large:
            gc.freeze()
        gc.enable()


def _exit(module: AnsibleModule, result: Mapping[str, Any], large: Mapping[str, Iterable[Any]]) -> None:
    """What `exit_json` does, which goes through all values several times; here one search of the text tells that none holds a secret."""
    texts = {uuid.uuid4().hex: _as_json(value) for value in large.values()}
    marks = dict(zip(large, texts))
    if not large or _holds_secret(module, (*texts, *itertools.chain.from_iterable(texts.values()))):
        module.exit_json(**result, **{name: list(value) for name, value in large.items()})
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            module.exit_json(**result, **marks)
    except SystemExit:
        for piece in re.split(f'"({"|".join(texts)})"', said.getvalue()):
            sys.stdout.writelines(texts.get(piece, [piece]))
        raise


def _as_json(items: Iterable[Any]) -> list[str]:
    """A list in pieces, each of whole items, so that neither all items nor a second copy of their text is held."""
    rest = iter(items)
    batches = iter(lambda: list(itertools.islice(rest, _BATCH)), [])
    pieces = [json.dumps(batch)[1:-1] for batch in batches]
    return ["[", *itertools.chain.from_iterable((piece, ", ") for piece in pieces[:-1]), *pieces[-1:], "]"]


def _holds_secret(module: AnsibleModule, texts: Iterable[str]) -> bool:
    """Whether a secret is anywhere in what is JSON."""
    secrets = [json.dumps(str(secret))[1:-1] for secret in module.no_log_values if secret]
    return any(secret in text for text in texts for secret in secrets)
