# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LUNs as real SCSI disks: one ``tgtd`` behind the portals of the SVMs (see README.md).

``views`` says who sees what, ``tgt`` makes it so, ``portal`` lets every initiator find its own view under the SVM's one IQN.
"""

PACKAGES = ("tgt", "util-linux")
"""What Debian calls the programs that it runs."""
