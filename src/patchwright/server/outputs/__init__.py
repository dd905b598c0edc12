# SPDX-License-Identifier: Apache-2.0
"""
Outputs: what steps of commands print, as it comes and in full (spec §5.5, §5.6).

The door. `Service` takes and shows it; `Tender` writes it to buckets, ends what nobody will end, and forgets what is old.
"""

from __future__ import annotations

from patchwright.server.outputs.model import (
    PIECE_BYTES,
    STREAMS,
    Output,
    OutputsError,
    Part,
    Place,
    Stream,
    Taken,
    UnknownOutput,
    cut_mark,
    place_of,
)
from patchwright.server.outputs.service import Service
from patchwright.server.outputs.tending import COLLECT_SECONDS, TEND_SECONDS, Tender

__all__ = [
    "COLLECT_SECONDS",
    "PIECE_BYTES",
    "STREAMS",
    "TEND_SECONDS",
    "Output",
    "OutputsError",
    "Part",
    "Place",
    "Service",
    "Stream",
    "Taken",
    "Tender",
    "UnknownOutput",
    "cut_mark",
    "place_of",
]
