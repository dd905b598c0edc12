# SPDX-License-Identifier: Apache-2.0
"""What both sides speak: pure records and rules, standard library only, no I/O and no clock."""
