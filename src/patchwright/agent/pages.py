# SPDX-License-Identifier: Apache-2.0
"""
Giving back what only starting needed: pages of programs and libraries that are mapped and not used any more.

Setting up Python and TLS walks through 4 MB of code and tables that waiting never looks at again (measured in ADR 0012). The
kernel would take them back from a machine short of memory; told so, it need not look for them. What is needed after all is
mapped again from the page cache.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Tuple

MADV_DONTNEED = 4


def forget_unused_code() -> None:
    """Unmap the clean pages of this process's programs and libraries. Does nothing where the system cannot be asked."""
    try:
        import _ctypes  # `ctypes` is made of it, and costs 0.4 MB more

        class Word(_ctypes._SimpleCData):  # type: ignore[type-arg]
            _type_ = "L"

        class Function(_ctypes.CFuncPtr):
            _flags_ = _ctypes.FUNCFLAG_CDECL
            _restype_ = Word

        itself = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
        madvise = Function(_ctypes.dlsym(itself, "madvise"))
        for start, end in list(_clean_mappings()):
            madvise(Word(start), Word(end - start), MADV_DONTNEED)
    except (ImportError, AttributeError, TypeError, OSError):
        return


def _clean_mappings(smaps: str = "/proc/self/smaps") -> Iterator[Tuple[int, int]]:
    """
    Where the files are mapped that this process cannot write and has not written: what relocation wrote is in no file.

    Answers start and end of each.
    """
    place = None
    with open(smaps, "rb") as file:  # noqa: PTH123 - without `pathlib`
        for line in file:
            words = line.split()
            if b"-" in words[0]:
                of_a_file = len(words) > 5 and words[5].startswith(b"/") and b"w" not in words[1]
                place = tuple(int(part, 16) for part in words[0].split(b"-")) if of_a_file else None
            elif place and words[0] == b"Anonymous:" and words[1] == b"0":
                yield place[0], place[1]
