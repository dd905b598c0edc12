# SPDX-License-Identifier: Apache-2.0
"""The node program: it reports facts and executes exact plans. Imports core and the standard library only."""
