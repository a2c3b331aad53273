# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest that is held still by its agent while a snapshot is taken, and let go again whatever happens.

An agent lets go of nothing by itself. So a note is left with the VM before anything is frozen, by which any later run lets go, and a
process of its own is begun that does so after a while, with a login of its own, whatever became of whoever asked.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san import apart, ending
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    OutcomeUnknown,
    Refused,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import (
    FreezeNote,
    GuestAgent,
    GuestFileSystem,
    Hypervisor,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import pick_vm

_AGAIN_SECONDS, _TRIES = 10, 60
"""How often a process of its own tries to reach an agent that does not answer."""


@dataclass(frozen=True)
class Held:
    """What is held still, and by which run."""

    file_systems: Sequence[GuestFileSystem]
    mark: str


@dataclass(frozen=True)
class Released:
    """What was let go."""

    changed: bool
    held: bool
    """Whether everything had stayed frozen until then."""


@dataclass(frozen=True)
class GuestFreeze:
    """A VM whose guest is to be held still."""

    log_in: Callable[[], Hypervisor]
    vm: str
    """As the user named it."""
    timeout: float
    begin: Callable[[Callable[[], object]], int] = apart.begin
    sleep: Callable[[float], None] = time.sleep

    def look(self, names: Sequence[ScsiName]) -> list[GuestFileSystem]:
        """The file systems on these LUNs that would be held still. Raises a `CrossvisorError`."""
        with closing(self.log_in()) as hypervisor:
            return self._agent(hypervisor).file_systems(names)

    def freeze(self, names: Sequence[ScsiName], thaw_after: float) -> Held:
        """Hold the file systems on these LUNs still, all or none; after `thaw_after` seconds they are let go, whatever happens.

        Raises a `CrossvisorError`. What a signal ends lets go first, whatever it had come to, because nobody else would know of the mark.
        """
        mark = secrets.token_hex(8)
        try:
            return self._frozen(mark, names, thaw_after)
        except ending.Ended:
            with suppress(Exception):  # then it is done by the process that was begun
                self.thaw(mark)
            raise

    def thaw(self, mark: str = "") -> Released:
        """Let go of what a run has had frozen, or only of what the run with this mark has. Raises a `CrossvisorError`."""
        with closing(self.log_in()) as hypervisor, ending.uncut():
            agent = self._agent(hypervisor)
            note = agent.noted()
            if note is None or (mark and note.mark != mark):
                return Released(changed=False, held=not mark)
            released = agent.thaw(self.timeout)
            agent.forget()
            return Released(changed=True, held=released >= note.held > 0)

    def _frozen(self, mark: str, names: Sequence[ScsiName], thaw_after: float) -> Held:
        with closing(self.log_in()) as hypervisor:
            agent = self._agent(hypervisor)
            if agent.noted():
                raise Refused(f"The guest of VM {self.vm} is held still by an earlier run: thaw it first.")
            chosen = agent.file_systems(names)
            if not chosen:
                return Held([], "")
            agent.note(FreezeNote(mark))
            self.begin(lambda: self._let_go_later(mark, thaw_after))
            self._hold(agent, mark, names, chosen, thaw_after)
            return Held(chosen, mark)

    def _agent(self, hypervisor: Hypervisor) -> GuestAgent:
        inventory = hypervisor.inventory(devices=False)
        return hypervisor.agent(pick_vm(inventory.virtual_machines, self.vm, inventory.silent))

    def _hold(self, agent: GuestAgent, mark: str, names: Sequence[ScsiName], chosen: Sequence[GuestFileSystem], thaw_after: float) -> None:
        try:
            held = agent.freeze([one.mount for one in chosen], self.timeout)
        except OutcomeUnknown as lost:
            self._take_back(agent, f"the agent has not said within {self.timeout:g} s that it holds them ({_told(lost)})", thaw_after)
            raise TimedOut(
                f"The file systems of VM {self.vm} are not held still, because its agent has not said within {self.timeout:g} s that they "
                f"are ({_told(lost)})"
            ) from lost
        except CrossvisorError:
            self._forget_in_vain(agent, mark, names)
            raise
        if held < len(chosen):
            self._take_back(agent, f"the agent holds only {held} of {len(chosen)}", thaw_after)
            raise Refused(
                f"Of the {len(chosen)} file systems of VM {self.vm} on these LUNs, its agent could hold {held} still, and has let go of "
                f"them: another is frozen already or of a kind that cannot be ({', '.join(one.mount for one in chosen)}); take the "
                "snapshot unfrozen, or wait until that is over."
            )
        try:
            own = (agent.noted() or FreezeNote("")).mark == mark
            if own:
                agent.note(FreezeNote(mark, held))
        except CrossvisorError as error:
            self._take_back(agent, f"that they are could not be noted ({_told(error)})", thaw_after)
            raise RemoteError(
                f"The file systems of VM {self.vm} are not held still, because that they are could not be noted ({_told(error)}), and its "
                "agent has let go of them: run the task again, or take the snapshot unfrozen"
            ) from error
        if not own:
            self._take_back(agent, "somebody has let go of them meanwhile", thaw_after)
            raise TimedOut(
                f"The file systems of VM {self.vm} were let go before all of them were frozen, by another run or after {thaw_after:g} s: "
                "run the task again alone, or give it more time (thaw_after)"
            )

    def _forget_in_vain(self, agent: GuestAgent, mark: str, names: Sequence[ScsiName]) -> None:
        """Take the note of a freeze away that was refused: that of this run alone, and only where the guest is not frozen.

        Where it is, another run may have frozen it since the look, whose note this one has replaced: then it stays for who lets go later.
        """
        with suppress(CrossvisorError):
            agent.file_systems(names)
            if (agent.noted() or FreezeNote("")).mark == mark:
                agent.forget()

    def _take_back(self, agent: GuestAgent, why: str, thaw_after: float) -> None:
        """Let go of what may be frozen. Where that is not possible now, the note stays for who lets go later."""
        try:
            agent.thaw(self.timeout)
            agent.forget()
        except CrossvisorError as error:
            raise OutcomeUnknown(
                f"nobody can tell whether the file systems of VM {self.vm} are frozen, because {why}, and it could not be told to let go "
                f"({_told(error)}); it is told so again after {thaw_after:g} s, and by the next run"
            ) from error

    def _let_go_later(self, mark: str, seconds: float) -> None:
        """What the process does that was begun: nothing, where somebody else has let go meanwhile.

        It looks once more after it has let go, because whoever was still freezing may have noted it after that.
        """
        self.sleep(seconds)
        for _try in range(_TRIES):
            with suppress(Exception):  # whatever it is: who gave up here would leave the guest frozen
                if not self.thaw(mark).changed:
                    return
            self.sleep(_AGAIN_SECONDS)


def _told(error: CrossvisorError) -> str:
    return str(error).rstrip(".")
