# SPDX-License-Identifier: Apache-2.0
"""
Runs a command inside a node and says what it used: `python3 meter.py [--watch] PROGRAM WORD…`, one JSON line.

CPU is that of the command and of all it waited for. With --watch its memory is looked at every few milliseconds instead:
the peak of the process itself, and of the tree below it as PSS. Standard library, Python 3.8 and newer.
"""

import json
import os
import sys
import time

LOOK_SECONDS = 0.004


def main():
    words = sys.argv[1:]
    watch = words[:1] == ["--watch"]
    argv = words[1:] if watch else words
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.execvp(argv[0], argv)
    peak = {"own_kib": 0, "tree_pss_kib": 0}
    if watch:
        status, usage = look(pid, peak)
    else:
        _, status, usage = os.wait4(pid, 0)
    line = {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status),
        "wall": time.monotonic() - begun,
        "cpu": usage.ru_utime + usage.ru_stime,
        "largest_process_kib": usage.ru_maxrss,
    }
    print(json.dumps(dict(line, **(peak if watch else {}))))


def look(pid, peak):
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return status, usage
        peak["own_kib"] = max(peak["own_kib"], field(pid, "status", "VmHWM:"))
        peak["tree_pss_kib"] = max(peak["tree_pss_kib"], sum(field(one, "smaps_rollup", "Pss:") for one in tree(pid)))
        time.sleep(LOOK_SECONDS)


def tree(pid):
    found = [pid]
    for one in found:
        try:
            with open("/proc/{0}/task/{0}/children".format(one)) as file:
                found.extend(int(child) for child in file.read().split())
        except OSError:
            continue
    return found


def field(pid, name, label):
    try:
        with open("/proc/{}/{}".format(pid, name)) as file:
            for line in file:
                if line.startswith(label):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    main()
