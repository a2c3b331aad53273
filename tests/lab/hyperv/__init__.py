# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows machines at the wire: Hyper-V hosts, failover clusters and guests as WS-Man/CIM servers over one in-memory estate."""
