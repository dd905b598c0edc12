# SPDX-License-Identifier: Apache-2.0
"""The rules of the house, held by a machine. Each check is a function of a directory, and is shown to be able to fail."""
