# SPDX-License-Identifier: Apache-2.0
"""The command machine under fire: users, nodes and jobs over the real rooms, with messages that are lost, late and doubled."""
