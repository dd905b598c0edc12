# SPDX-License-Identifier: Apache-2.0
"""Room: documents, commands and their invocations."""
