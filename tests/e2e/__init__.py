# SPDX-License-Identifier: Apache-2.0
"""Stories through all rooms: a real client, the real server, the real agent on a real node."""
