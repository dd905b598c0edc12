# SPDX-License-Identifier: Apache-2.0
"""Room: baselines, patch groups, snapshots, operations, plans, live verdicts."""
