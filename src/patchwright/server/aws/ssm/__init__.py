# SPDX-License-Identifier: Apache-2.0
"""Systems Manager (`ssm`, 2014-11-06): baselines, groups, nodes, activations, tags, commands, patch states."""
