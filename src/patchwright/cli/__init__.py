# SPDX-License-Identifier: Apache-2.0
"""The operator's command: thin, over the same API as every other client."""
