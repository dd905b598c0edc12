# SPDX-License-Identifier: Apache-2.0
"""One file per package manager: ask, read (pure), act."""
