# SPDX-License-Identifier: Apache-2.0
"""Room: managed nodes, activations, facts."""
