# SPDX-License-Identifier: Apache-2.0
"""
As much of S3 as agents need (spec agent-protocol §10): outputs of commands written and read, files of commands fetched.

The door. `BucketFront` answers requests that are signed for S3; `Objects` has the operations, `RULES` say what they ask for.
"""

from __future__ import annotations

from patchwright.server.aws.s3.front import BucketFront
from patchwright.server.aws.s3.objects import RULES, Objects, owned
from patchwright.server.aws.s3.uploads import Uploads

__all__ = ["RULES", "BucketFront", "Objects", "Uploads", "owned"]
